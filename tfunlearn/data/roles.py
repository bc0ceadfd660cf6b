"""Reading a split: which examples a role holds, as arrays, as labels and as batches."""

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from tfunlearn.data.duplicates import NONE, Duplicates
from tfunlearn.data.labels import check_ids, check_labels
from tfunlearn.data.passes import AHEAD
from tfunlearn.data.pipelines import need_tensorflow
from tfunlearn.data.sources import ArraySource, Source
from tfunlearn.seeds import check_seed

if TYPE_CHECKING:
    import tensorflow as tf

Arrays = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, repr=False, eq=False)
class Roles:
    """The reading half of ``ForgetSplit``: roles, their ids and their examples."""

    kind: str
    num_classes: int
    ids: Mapping[str, np.ndarray]
    detail: str
    _train: Source
    _held_out: Mapping[str, Source]
    _duplicates: Duplicates = NONE

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles there are, in the order forget, retain, validation, test."""
        return tuple(self.ids)

    @property
    def is_stream(self) -> bool:
        """Whether the training data is a stream rather than arrays."""
        return self._train.is_stream

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """Shape of one training input."""
        return tuple(self._train.shape)

    @property
    def input_dtype(self) -> str:
        """Data type of the training inputs."""
        return self._train.dtype

    @property
    def forgets_classes(self) -> bool:
        """Whether the forget set is made of whole classes, of which nothing stays in training."""
        return not (self.class_counts("forget") * self.class_counts("retain")).any()

    @property
    def duplicates(self) -> Duplicates:
        """Exact copies of forgotten examples, as found when the split was made."""
        return self._duplicates

    @property
    def forget(self) -> Arrays:
        """The forget set as arrays ``(x, y)``."""
        return self._arrays("forget")

    @property
    def retain(self) -> Arrays:
        """The retain set as arrays ``(x, y)``."""
        return self._arrays("retain")

    @property
    def validation(self) -> Arrays:
        """The validation set as arrays ``(x, y)``."""
        return self._arrays("validation")

    @property
    def test(self) -> Arrays:
        """The test set as arrays ``(x, y)``."""
        return self._arrays("test")

    def size(self, role: str) -> int:
        """Returns the number of examples of a role."""
        self.require(role)
        return len(self.ids[role])

    def labels(self, role: str) -> np.ndarray:
        """Returns the labels of a role as int64 ``(N,)``, in the order of its ids."""
        return self.source(role).y[self.ids[role]]

    def sample_weights(self, role: str) -> np.ndarray | None:
        """Returns the weights of a role's examples as float32 ``(N,)``, or None if it has none."""
        weights = self.source(role).weights
        return None if weights is None else weights[self.ids[role]]

    def class_counts(self, role: str) -> np.ndarray:
        """Returns how many examples of each class a role holds, shape ``(num_classes,)``."""
        return np.bincount(self.labels(role), minlength=self.num_classes)

    def dataset(
        self,
        role: str,
        *,
        batch_size: int = 128,
        shuffle: bool = False,
        seed: int = 0,
        transform: Callable[[Any, Any], tuple[Any, Any]] | None = None,
    ) -> "tf.data.Dataset":
        """Returns a role as batches of ``(image, label)``, prefetched; weights are a third part.

        Args:
            role: ``"forget"``, ``"retain"``, ``"validation"`` or ``"test"``.
            batch_size: examples a batch; the last one may hold fewer.
            shuffle: another order at each pass: of all examples for arrays, within windows of
                1,024 for a stream.
            seed: seed of the orders; the same seed gives the same ones, whatever TensorFlow's
                global seed.
            transform: a function of a batch ``(image, label)``, such as a ``Normalizer``.

        Raises:
            ImportError: without TensorFlow; ``data.batches`` does without.
            ValueError: if the role is not there, holds NaN, the batch size is not positive, or the
                seed negative; or if a small role of a stream, which is read here, has other
                examples than in the first pass. Batches that are read later fail then.
        """
        need_tensorflow(
            f"split.dataset({role!r})", "data.batches(split, role), which gives the same batches"
        )
        self.check(role, batch_size, seed)
        batches = self.source(role).dataset(self.ids[role], batch_size, shuffle, seed)
        if transform is None:
            return batches
        import tensorflow as tf

        def changed(x: Any, y: Any, *weights: Any) -> tuple[Any, ...]:
            return *transform(x, y), *weights

        return batches.map(changed, num_parallel_calls=tf.data.AUTOTUNE).prefetch(AHEAD)

    def relabelled(self, role: str, labels: Any) -> "Self":
        """Returns a split with the same examples and other labels of one role.

        Args:
            role: the role whose labels change.
            labels: integer labels in the order of the role's ids, ``(N,)`` or ``(N, 1)``, below
                ``num_classes``.

        Raises:
            TypeError: if labels are not integers.
            ValueError: if they are of another length, one-hot, negative or too large.

        Example:
            >>> import numpy as np
            >>> from tfunlearn.data import by_index
            >>> x, y = np.zeros((4, 2)), np.array([0, 1, 0, 1])
            >>> split = by_index(x, y, forget=[1, 2], test=(x, y))
            >>> split.relabelled("forget", [0, 1]).labels("forget").tolist()
            [0, 1]
        """
        source, ids = self.source(role), self.ids[role]
        labels = check_labels(labels, len(ids), "labels")
        if labels.max() >= self.num_classes:
            raise ValueError(
                "labels: class ids must be below num_classes. "
                f"Expected: at most {self.num_classes - 1}. Received: {labels.max()}."
            )
        y = source.y.copy()
        y[ids] = labels
        changed = source.relabelled(y)
        if role in self._held_out:
            parts = {"_held_out": MappingProxyType({**self._held_out, role: changed})}
        else:
            parts = {"_train": changed}
        split = dataclasses.replace(self, **parts)
        split.__dict__["_finite_roles"] = set(self.__dict__.get("_finite_roles", ()))
        return split

    def subset(self, role: str, positions: Any) -> "Self":
        """Returns a split in which a role holds only some of its examples.

        Args:
            role: the role that shrinks.
            positions: which of its examples, as positions in the order of its ids, each once.

        Raises:
            ValueError: if no position is given, or one is repeated or out of range.

        Example:
            >>> import numpy as np
            >>> from tfunlearn.data import by_index
            >>> x, y = np.zeros((5, 2)), np.arange(5) % 2
            >>> split = by_index(x, y, forget=[1], test=(x, y))
            >>> split.subset("retain", [0, 2]).ids["retain"]
            array([0, 3])
        """
        size = self.size(role)
        if np.array_equal(np.sort(positions), np.arange(size)):
            return self
        chosen = check_ids(positions, size, "positions")
        ids = MappingProxyType({**self.ids, role: self.ids[role][chosen]})
        return dataclasses.replace(self, ids=ids)

    def replaced(self, role: str, x: Any, y: Any) -> "Self":
        """Returns a split in which a role holds other examples, given as arrays.

        Args:
            role: the role that changes.
            x: inputs, ``(N, ...)``.
            y: integer labels, ``(N,)`` or ``(N, 1)``, below ``num_classes``.

        Raises:
            TypeError: if labels are not integers.
            ValueError: if inputs have another shape than the role's, or labels cannot be used.
        """
        self.require(role)
        source = ArraySource(x, y, role)
        if tuple(source.shape) != self.input_shape or source.y.max() >= self.num_classes:
            raise ValueError(
                f"{role}: its examples must be like those of the split. Expected: inputs of shape "
                f"{self.input_shape} and labels below {self.num_classes}. Received: inputs of "
                f"shape {tuple(source.shape)} and labels up to {source.y.max()}."
            )
        ids = MappingProxyType({**self.ids, role: np.arange(len(source.y))})
        held_out = MappingProxyType({**self._held_out, role: source})
        found = NONE if role in ("forget", "retain") else self._duplicates
        return dataclasses.replace(self, ids=ids, _held_out=held_out, _duplicates=found)

    def fingerprint(self) -> str:
        """Returns a sha256 of every role's ids, labels and weights, as hexadecimal text."""
        digest = hashlib.sha256()
        for role in self.roles:
            digest.update(role.encode())
            digest.update(self.ids[role].astype("<i8").tobytes())
            digest.update(self.labels(role).astype("<i8").tobytes())
            if (weights := self.sample_weights(role)) is not None:
                digest.update(b"weights" + weights.astype("<f4").tobytes())
        return digest.hexdigest()

    def source(self, role: str) -> Source:
        """Returns where a role's examples come from."""
        self.require(role)
        return self._held_out.get(role, self._train)

    def require(self, role: str) -> None:
        """Raises unless the role is there."""
        if role not in self.ids:
            raise ValueError(
                f"role: expected one of {', '.join(self.ids)}. Received: {role!r}"
                + ("; pass validation=(x, y) to the split." if role == "validation" else ".")
            )

    def check(self, role: str, batch_size: int = 1, seed: int = 0) -> None:
        """Raises unless a role is there, finite, and batch size and seed can be used."""
        self.require(role)
        check_seed(seed)
        if not isinstance(batch_size, int | np.integer) or batch_size < 1:
            raise ValueError(
                f"batch_size: expected a whole number of at least 1. Received: {batch_size!r}."
            )
        checked = self.__dict__.setdefault("_finite_roles", set())
        if role in checked:
            return
        if not self.source(role).all_finite(self.ids[role]):
            raise ValueError(
                f"x: the {role} set holds NaN or infinite values. Expected: finite inputs."
            )
        checked.add(role)

    def _arrays(self, role: str) -> Arrays:
        """Returns a role as arrays, once it is known to be finite."""
        source = self.source(role)
        arrays = source.take(self.ids[role])
        self.check(role)
        return arrays

    def __str__(self) -> str:
        total = self.size("forget") + self.size("retain")
        lines = [f"Total training samples: {total}"]
        for role in self.roles:
            share = f" ({self.size(role) / total:.1%})" if role in ("forget", "retain") else ""
            lines.append(f"{role.capitalize()} set size: {self.size(role)}{share}")
        if self.duplicates.sentence():
            lines.append(f"Duplicates: {self.duplicates.sentence()}")
        counts = self.class_counts("forget")
        trained = counts + self.class_counts("retain")
        shown = [f"{c} {counts[c] / trained[c]:.1%}" for c in np.flatnonzero(trained)[:20]]
        more = np.count_nonzero(trained) - len(shown)
        lines.append(
            "Forgotten share of each class: "
            + ", ".join(shown)
            + (f", and {more} more classes" if more else "")
        )
        return "\n".join(lines)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{role}={self.size(role)}" for role in self.roles)
        share = self.size("forget") / (self.size("forget") + self.size("retain"))
        counts = self.class_counts("forget")
        return (
            f"ForgetSplit({self.kind}: {sizes}, forget fraction {share:.1%}, "
            f"classes={self.num_classes}, forget per class {counts.min()}-{counts.max()})"
        )
