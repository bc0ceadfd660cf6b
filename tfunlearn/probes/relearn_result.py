"""What a relearning gives: the steps that it took, its curve, and how it was measured."""

from dataclasses import dataclass
from typing import NamedTuple


class RelearnPoint(NamedTuple):
    """The forget set at one moment of the relearning.

    Attributes:
        steps: optimizer steps taken so far.
        loss: mean cross-entropy in nats.
        accuracy: fraction of right answers.
    """

    steps: int
    loss: float
    accuracy: float


@dataclass(frozen=True)
class RelearnSettings:
    """What relearn times must have in common to be compared.

    Attributes:
        criterion: ``"loss"`` or ``"accuracy"``.
        target: the level that ends the relearning.
        optimizer: class and options of the optimizer, as JSON.
        batch_size: examples a step.
        every: steps from one measurement to the next; steps are known to that many.
        max_steps: steps after which the relearning was given up.
        steps_per_epoch: steps that pass once over the forget set.
        size: examples in the forget set.
        seed: seed of the order of the batches.
        split: fingerprint of the split.
    """

    criterion: str
    target: float
    optimizer: str
    batch_size: int
    every: int
    max_steps: int
    steps_per_epoch: int
    size: int
    seed: int
    split: str


@dataclass(frozen=True)
class RelearnTime:
    """How long one model took to relearn the forget set.

    Attributes:
        reached: whether the target was reached at all.
        steps: optimizer steps until it was; 0 if it held from the start, None if it was not
            reached.
        curve: the forget set before the first step and at every measurement after it.
        settings: how it was measured.
    """

    reached: bool
    steps: int | None
    curve: tuple[RelearnPoint, ...]
    settings: RelearnSettings

    @property
    def epochs(self) -> float | None:
        """Passes over the forget set until the target was reached, or None."""
        return None if self.steps is None else self.steps / self.settings.steps_per_epoch

    def __str__(self) -> str:
        if self.reached:
            return f"reached after {self.steps} steps ({self.epochs:.4g} epochs)"
        settings, last = self.settings, self.curve[-1]
        return (
            f"not reached within {settings.max_steps} steps: {settings.criterion} is "
            f"{getattr(last, settings.criterion):.4g}, the target {settings.target:.4g}"
        )
