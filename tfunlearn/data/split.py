"""ForgetSplit: training data divided into what is forgotten and what stays, plus held-out data."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tfunlearn.data.building import build, share_of_classes
from tfunlearn.data.duplicates import Choice, check_choice
from tfunlearn.data.roles import Arrays
from tfunlearn.data.sources import ArraySource, StreamSource
from tfunlearn.data.weighted import Weighted
from tfunlearn.seeds import check_seed

if TYPE_CHECKING:
    import tensorflow as tf


@dataclass(frozen=True, repr=False, eq=False)
class ForgetSplit(Weighted):
    """Training data as a partition into roles ``forget`` and ``retain``, with held-out roles.

    Make one with ``by_index``, ``random``, ``by_class``, ``by_group`` or ``from_dataset``. Arrays
    are shared, not copied; a role's examples are gathered when the role is read. Images with NaN
    or infinity are an error when their role is read, so a role that is never read is never checked.

    Attributes:
        kind: how it was made: ``"index"``, ``"random"``, ``"class"`` or ``"group"``.
        num_classes: number of classes, at least the largest label plus one.
        ids: role to sorted int64 ids; forget and retain count in the training data, validation
            and test each in their own data.
        detail: what was asked for, in words.

    Example:
        >>> import numpy as np
        >>> from tfunlearn.data import ForgetSplit
        >>> x, y = np.eye(10, dtype="float32"), np.arange(10) % 2
        >>> split = ForgetSplit.by_index(x, y, forget=[3, 1], test=(x[:4], y[:4]))
        >>> split.ids["forget"], split.size("retain")
        (array([1, 3]), 8)
        >>> print(split)
        Total training samples: 10
        Forget set size: 2 (20.0%)
        Retain set size: 8 (80.0%)
        Test set size: 4
        Forgotten share of each class: 0 0.0%, 1 40.0%
    """

    @classmethod
    def by_index(
        cls,
        x: Any,
        y: Any,
        *,
        forget: Sequence[int] | np.ndarray,
        test: Arrays,
        validation: Arrays | None = None,
        num_classes: int | None = None,
        sample_weight: Any = None,
        duplicates: Choice = None,
    ) -> "ForgetSplit":
        """Forgets the training examples at the given positions.

        Args:
            x: training inputs, shape ``(N, ...)``.
            y: integer labels, ``(N,)`` or ``(N, 1)``.
            forget: ids to forget, positions in ``x``, each one once, in any order.
            test: held-out ``(x, y)``, never trained on.
            validation: held-out ``(x, y)`` for methods that choose a checkpoint.
            num_classes: number of classes; by default the largest label seen plus one.
            sample_weight: weight of each training example in the loss, ``(N,)``; by default none.
            duplicates: what becomes of training examples whose inputs are, byte by byte, those of a
                forgotten one: ``"forget"`` takes them along, ``"keep"`` leaves them in the retain
                set. By default they stay there, with a ``DuplicateWarning``.

        Raises:
            TypeError: if ids or labels are not integers.
            ValueError: if ids are empty, duplicated, out of range or everything; if labels are
                one-hot, negative, too large or of another length; or if weights are negative, not
                finite, of another length, or all 0 on retain.
        """
        source = ArraySource(x, y, weights=sample_weight)
        roles = test, validation, num_classes
        return build(cls, source, "index", lambda labels: forget, *roles, duplicates=duplicates)

    @classmethod
    def random(
        cls,
        x: Any,
        y: Any,
        *,
        fraction: float = 0.1,
        seed: int = 0,
        stratify: bool = False,
        test: Arrays,
        validation: Arrays | None = None,
        num_classes: int | None = None,
        sample_weight: Any = None,
        duplicates: Choice = None,
    ) -> "ForgetSplit":
        """Forgets a random share of the training data.

        Args:
            x: training inputs, shape ``(N, ...)``.
            y: integer labels, ``(N,)`` or ``(N, 1)``.
            fraction: share to forget, inside (0, 1); rounded to whole examples.
            seed: seed of the draw.
            stratify: take this share of every class.
            test: held-out ``(x, y)``.
            validation: held-out ``(x, y)``.
            num_classes: number of classes; by default the largest label seen plus one.
            sample_weight: weight of each training example in the loss, ``(N,)``; by default none.
            duplicates: as in ``by_index``.

        Raises:
            ValueError: if the share is not inside (0, 1) or comes to no example, and as
                ``by_index``.
        """
        check_seed(seed)
        if not 0 < fraction < 1:
            raise ValueError(f"fraction: expected a share inside (0, 1). Received: {fraction}.")
        numbers = np.random.default_rng(seed)

        def draw(labels: np.ndarray) -> np.ndarray:
            if stratify:
                return share_of_classes(labels, np.unique(labels), fraction, numbers)
            return numbers.permutation(len(labels))[: round(fraction * len(labels))]

        detail = f"{fraction:.4g} of the training data at random"
        source = ArraySource(x, y, weights=sample_weight)
        roles = test, validation, num_classes
        return build(cls, source, "random", draw, *roles, detail, duplicates)

    @classmethod
    def by_class(
        cls,
        x: Any,
        y: Any,
        *,
        classes: Sequence[int],
        fraction: float = 1.0,
        seed: int = 0,
        test: Arrays,
        validation: Arrays | None = None,
        num_classes: int | None = None,
        sample_weight: Any = None,
        duplicates: Choice = None,
    ) -> "ForgetSplit":
        """Forgets whole classes, or a random share of each of them.

        Args:
            x: training inputs, shape ``(N, ...)``.
            y: integer labels, ``(N,)`` or ``(N, 1)``.
            classes: class ids; each must occur in ``y``.
            fraction: share of each class, inside (0, 1].
            seed: seed of the draw, where the share is below 1.
            test: held-out ``(x, y)``.
            validation: held-out ``(x, y)``.
            num_classes: number of classes; by default the largest label seen plus one.
            sample_weight: weight of each training example in the loss, ``(N,)``; by default none.
            duplicates: as in ``by_index``.

        Raises:
            ValueError: if a class does not occur, and as ``by_index``.
        """
        check_seed(seed)
        if not 0 < fraction <= 1:
            raise ValueError(f"fraction: expected a share inside (0, 1]. Received: {fraction}.")
        wanted = np.unique(np.asarray(classes))

        def draw(labels: np.ndarray) -> np.ndarray:
            absent = np.setdiff1d(wanted, labels)
            if absent.size or not wanted.size:
                raise ValueError(
                    "classes: expected classes that occur in y. "
                    f"Expected: some of {np.unique(labels).tolist()}. Received: {wanted.tolist()}."
                )
            return share_of_classes(labels, wanted, fraction, np.random.default_rng(seed))

        detail = f"{fraction:.4g} of class {', '.join(map(str, wanted.tolist()))}"
        source = ArraySource(x, y, weights=sample_weight)
        roles = test, validation, num_classes
        return build(cls, source, "class", draw, *roles, detail, duplicates)

    @classmethod
    def by_group(
        cls,
        x: Any,
        y: Any,
        groups: Any,
        *,
        forget: Sequence[Any],
        test: Arrays,
        validation: Arrays | None = None,
        num_classes: int | None = None,
        sample_weight: Any = None,
        duplicates: Choice = None,
    ) -> "ForgetSplit":
        """Forgets all records of the given groups, for instance of a person.

        Args:
            x: training inputs, shape ``(N, ...)``.
            y: integer labels, ``(N,)`` or ``(N, 1)``.
            groups: group of each training example, shape ``(N,)``, numbers or text.
            forget: groups to forget; each must occur in ``groups``.
            test: held-out ``(x, y)``.
            validation: held-out ``(x, y)``.
            num_classes: number of classes; by default the largest label seen plus one.
            sample_weight: weight of each training example in the loss, ``(N,)``; by default none.
            duplicates: as in ``by_index``.

        Raises:
            ValueError: if a group does not occur, if ``groups`` has another length, and as
                ``by_index``.
        """
        groups, wanted = np.asarray(groups), np.unique(np.asarray(forget))

        def draw(labels: np.ndarray) -> np.ndarray:
            if groups.shape != labels.shape:
                raise ValueError(
                    "groups: expected one group per training example. "
                    f"Expected: shape {labels.shape}. Received: shape {groups.shape}."
                )
            absent = np.setdiff1d(wanted, groups)
            if absent.size:
                raise ValueError(
                    "forget: expected groups that occur in groups. "
                    f"Received {absent.size} that do not, for instance {absent.tolist()[0]!r}."
                )
            return np.flatnonzero(np.isin(groups, wanted))

        detail = f"{len(wanted)} group{'s' if len(wanted) != 1 else ''}"
        source = ArraySource(x, y, weights=sample_weight)
        roles = test, validation, num_classes
        return build(cls, source, "group", draw, *roles, detail, duplicates)

    @classmethod
    def from_dataset(
        cls,
        dataset: "tf.data.Dataset",
        *,
        forget: Sequence[int] | np.ndarray,
        test: "tf.data.Dataset | Arrays",
        validation: "tf.data.Dataset | Arrays | None" = None,
        num_classes: int | None = None,
        duplicates: Choice = None,
    ) -> "ForgetSplit":
        """Forgets examples of a ``tf.data.Dataset`` by their position, without collecting it.

        The dataset is read once here, for its size and labels, and once more at each pass. What is
        kept is one label and one flag per example. Reading a few costs as much as reading all, so
        images of a role of at most half of the examples and 128 MiB are kept too, from the call of
        ``split.dataset`` that first asks for them. ``dataset.cache()`` keeps every image, in memory
        or in a file, where reading them again takes longer than that.

        Args:
            dataset: single ``(image, label)`` examples, or batches of them as ``Dataset.batch``
                gives, which are quicker; in the same order at every pass. With a third part that is
                the sample weight.
            forget: positions of examples to forget, counted across batches, each one once.
            test: held-out dataset, likewise, or arrays ``(x, y)``.
            validation: likewise.
            num_classes: number of classes; by default the largest label seen plus one.
            duplicates: as in ``by_index``; a dataset that is a sequence several times over is an
                error by default.

        Raises:
            ImportError: without TensorFlow.
            TypeError: if it is not a ``tf.data.Dataset``.
            ValueError: if it is endless, empty, shuffled, repeated, or of batches of a stated size,
                which look like one-hot labels; and as ``by_index``.
        """
        check_choice(duplicates)
        source = StreamSource(dataset, once=duplicates is None)
        roles = test, validation, num_classes
        return build(cls, source, "index", lambda labels: forget, *roles, duplicates=duplicates)
