"""Residual knowledge: what a model still knows close to the examples that it was to forget."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import keras
import numpy as np

from tfunlearn import models
from tfunlearn.data import ForgetSplit
from tfunlearn.methods.checks import check, check_not_negative, check_positive
from tfunlearn.probes.reading import AT_ONCE, blocks, check_count, scores


@dataclass(frozen=True)
class ResidualKnowledge:
    """How often a model is right close to each forget example, against retrained models.

    Attributes:
        unlearned: for each forget example, the share of its perturbed inputs that the model gives
            the label of the example.
        reference: the same share, as a mean over the references.
        ratios: the first over the second, after smoothing; None where the second is 0.
        undefined: examples without a ratio.
        share_above: share of all examples with more of it in the model than in the references;
            needs no ratio, so that every example counts.
        mean_ratio: mean of the ratios there are, or None if there is none.
        size: forget examples.
        references: models that the references' share is a mean of.
        samples: perturbed inputs for each example, the same for every model.
        radius: radius of the ball, in units of the inputs.
        norm: ``"l2"`` or ``"linf"``.
        smoothing: right and wrong answers that were added to each share, for the ratios alone.
        seed: seed of the perturbations.
    """

    unlearned: tuple[float, ...]
    reference: tuple[float, ...]
    ratios: tuple[float | None, ...]
    undefined: int
    share_above: float
    mean_ratio: float | None
    size: int
    references: int
    samples: int
    radius: float
    norm: str
    smoothing: float
    seed: int


def residual_knowledge(
    model: keras.Model,
    references: keras.Model | Sequence[keras.Model],
    split: ForgetSplit,
    *,
    radius: float,
    samples: int = 100,
    seed: int = 0,
    norm: Literal["l2", "linf"] = "l2",
    smoothing: float = 0.0,
    batch_size: int = AT_ONCE,
) -> ResidualKnowledge:
    """Compares how often models still answer the true label close to each forget example.

    For each forget example (x, y) inputs x' are drawn evenly from the ball of the radius around x.
    The share of them with answer y, in the model over in the references, is the example's ratio;
    above 1 the model knows more of the surroundings of x than models that never saw x. Between
    retrained models, ratios scatter around 1: set the result beside that of a retrained model held
    out from the references.

    Args:
        model: a built classifier; it is left as it was, and a copy is run in inference mode.
        references: one or more models retrained without the forget set, left as they were too.
        split: the data; reads ``forget``.
        radius: radius of the ball, above 0, in units of the inputs as the split holds them (after
            normalisation, say). Inputs are not clipped to a range.
        samples: inputs drawn for each example.
        seed: seed of the draw. Each example has numbers of its own, which do not depend on the
            batch size.
        norm: the ball: ``"l2"`` or ``"linf"`` (a cube of twice the radius).
        smoothing: number of right and of wrong answers added to every share before ratios are
            taken (Laplace's rule with 1). With 0 an example that no reference ever gets right has
            no ratio, and is counted in ``undefined``.
        batch_size: perturbed inputs a step; at least one example's are taken at once.

    Returns:
        Shares and ratios, one for each example. Costs ``samples`` forward passes over the forget
        set for each model.

    Raises:
        TypeError: if something is no Keras model.
        ValueError: if there is no reference, an option is out of range, the model takes whole
            numbers, outputs are not finite, or models and split do not fit together.

    Example:
        >>> import keras, numpy as np
        >>> from tfunlearn import data, models, probes
        >>> x, y = np.zeros((4, 2), "float32"), np.array([0, 1, 0, 1])
        >>> split = data.by_index(x, y, forget=[0, 1], test=(x, y))
        >>> net = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
        >>> net.set_weights([np.eye(2), np.array([0.0, 9.0])])  # answers 1 within a radius of 6
        >>> found = probes.residual_knowledge(net, models.copy(net), split, radius=1.0)
        >>> found.unlearned, found.ratios, found.undefined
        ((0.0, 1.0), (None, 1.0), 1)

    Reference: Hsu et al., 2026, "The Unseen Threat: Residual Knowledge in Machine Unlearning under
    Perturbed Samples", arXiv 2601.22359 (residual knowledge).
    Deviation: the formula is that of a published summary, Pr[m(x') = y] / Pr[a(x') = y] with the
    retrained model a; the paper's own text was not compared. The even draw from the ball, the mean
    over several references, the smoothing and the share above are this package's.
    """
    nets = [models.copy(net) for net in _checked(model, references, split, seed)]
    check_positive(radius=radius)
    check_not_negative(smoothing=smoothing)
    samples = check_count("samples", samples)
    if norm not in ("l2", "linf"):
        raise ValueError(f"norm: expected 'l2' or 'linf'. Received: {norm!r}.")
    at_once = max(1, check_count("batch_size", batch_size) // samples)
    labels, seen, counts = split.labels("forget"), 0, []
    for x in blocks(split, "forget", at_once):
        near = [_near(row, samples, radius, norm, [seed, seen + i]) for i, row in enumerate(x)]
        inputs = np.concatenate(near).astype("float32")
        truth = labels[seen : seen + len(x), None]
        answers = [scores(net, inputs).argmax(-1).reshape(len(x), samples) for net in nets]
        counts.append([(answer == truth).sum(axis=1) for answer in answers])
        seen += len(x)
    right = np.concatenate(counts, axis=1)
    own, theirs = right[0].astype("float64"), right[1:].mean(axis=0)
    ratios = _ratios(own + smoothing, theirs + smoothing)
    defined = [ratio for ratio in ratios if ratio is not None]
    return ResidualKnowledge(
        unlearned=tuple((own / samples).tolist()),
        reference=tuple((theirs / samples).tolist()),
        ratios=ratios,
        undefined=len(ratios) - len(defined),
        share_above=float((own > theirs).mean()),
        mean_ratio=float(np.mean(defined)) if defined else None,
        size=len(labels),
        references=len(nets) - 1,
        samples=samples,
        radius=float(radius),
        norm=norm,
        smoothing=float(smoothing),
        seed=int(seed),
    )


def _checked(
    model: keras.Model,
    references: keras.Model | Sequence[keras.Model],
    split: ForgetSplit,
    seed: int,
) -> list[keras.Model]:
    """Returns the model and the references, each checked against the split."""
    others = [references] if isinstance(references, keras.Model) else list(references)
    if not others:
        raise ValueError(
            "references: a share says nothing alone. Expected: at least one model retrained "
            "without the forget set. Received: none."
        )
    for net in (model, *others):
        check(net, split, {"forget"}, seed=seed)
        types = [str(tensor.dtype) for tensor in getattr(net, "inputs", None) or []]
        if any("float" not in dtype for dtype in types):
            raise ValueError(
                "model: inputs are perturbed, so they must be able to take any value. Expected: "
                f"floating point inputs. Received: {types[0]}."
            )
    return [model, *others]


def _near(x: np.ndarray, samples: int, radius: float, norm: str, key: Sequence[int]) -> np.ndarray:
    """Draws inputs evenly from the ball around one, float64 of shape (samples, ...)."""
    numbers = np.random.default_rng(key)
    size = (samples, x.size)
    if norm == "linf":
        moves = numbers.uniform(-radius, radius, size)
    else:
        moves = numbers.normal(size=size)
        lengths = radius * numbers.uniform(size=(samples, 1)) ** (1 / x.size)
        moves *= lengths / np.linalg.norm(moves, axis=1, keepdims=True)
    return x.astype("float64") + moves.reshape(samples, *x.shape)


def _ratios(own: np.ndarray, theirs: np.ndarray) -> tuple[float | None, ...]:
    """Returns the ratio of two counts out of as many for each example, None over a 0."""
    pairs = zip(own, theirs, strict=True)
    return tuple(float(mine / other) if other > 0 else None for mine, other in pairs)
