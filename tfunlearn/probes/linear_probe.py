"""Linear probe: can the forgotten labels be read off a model's features?"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np

from tfunlearn import metrics
from tfunlearn.data import ForgetSplit
from tfunlearn.methods.checks import check, check_positive
from tfunlearn.probes.features import FeatureReader
from tfunlearn.probes.reading import AT_ONCE, check_count

_ITERATIONS = 2000


@dataclass(frozen=True)
class LinearProbe:
    """What a linear classifier reads off a model's features.

    Attributes:
        accuracy: the probe's accuracy on the forgotten examples, a fraction; each of them is
            scored by a classifier that was fitted without it.
        model_accuracy: the model's own accuracy on the same examples, through its head.
        others_accuracy: the probe's accuracy on the other examples, likewise; None without any.
        majority: accuracy on the forgotten examples of always answering the class that is most
            frequent where the probe was fitted.
        chance: their expected accuracy under guesses drawn by the frequency of the classes.
        by_class: ``(class, accuracy, examples)`` for every class among the forgotten examples.
        size: forgotten examples.
        others: other examples, which the probe is fitted and scored on as well.
        place: where the features were taken.
        features: numbers in a row of features.
        roles: roles that the examples come from.
        folds: parts that the examples were divided into.
        regularization: inverse strength of the probe's squared penalty (scikit-learn's C).
        seed: seed of the folds, and of the draw where ``limit`` made one.
        converged: whether every fit converged.
    """

    accuracy: float
    model_accuracy: float
    others_accuracy: float | None
    majority: float
    chance: float
    by_class: tuple[tuple[int, float, int], ...]
    size: int
    others: int
    place: str
    features: int
    roles: tuple[str, ...]
    folds: int
    regularization: float
    seed: int
    converged: bool


def linear_probe(
    model: keras.Model,
    split: ForgetSplit,
    *,
    layer: int | str | None = None,
    roles: Sequence[str] = ("forget", "retain"),
    folds: int = 5,
    regularization: float = 1.0,
    limit: int | None = 10_000,
    seed: int = 0,
    batch_size: int = AT_ONCE,
) -> LinearProbe:
    """Fits a linear classifier on a model's features and scores it on what was to be forgotten.

    A model that only masks its last layer answers wrongly and keeps features in which a forgotten
    class lies apart as before; the probe sees the features alone. Features of a model retrained
    without a class may hold it apart too, so the number to compare with is the retrained model's.

    The examples of the roles are divided into folds, evenly by class and by forgotten or not. For
    each fold a logistic regression on standardised features is fitted on the other folds, and
    answers for the examples of this one.

    Args:
        model: a built classifier; it is left as it was, and a copy is run in inference mode.
        split: the data; reads ``roles``.
        layer: where features are taken: None for what the head is given, which is the layer with a
            kernel that runs last, so that neither an activation after it nor a nested model is in
            the way; the name of a layer, at any depth, or a position in ``model.layers`` for what
            that layer gives.
        roles: where examples come from. With ``"forget"`` among them, the forgotten examples are
            the forget set; without it they are those of the forgotten classes, so that
            ``("test",)`` asks about unseen images of a class.
        folds: number of folds, at least 2.
        regularization: inverse strength of the squared penalty on the weights, above 0.
        limit: most examples of each role but ``forget`` that are used, drawn under the seed; None
            for all.
        seed: seed of the folds and of that draw.
        batch_size: examples a step where features are computed.

    Returns:
        What the probe found. Costs one forward pass over the roles, without compilation, and
        ``folds`` regressions.

    Raises:
        ValueError: if an option is out of range, there is no such layer, a role is unknown or
            named twice, there is no forgotten example, a forgotten class has a single example,
            there is one class only, or features are not finite.

    Example:
        >>> import keras, numpy as np
        >>> from tfunlearn import data, probes
        >>> y = np.arange(60) % 3
        >>> x = 4 * np.eye(3)[y] + np.random.default_rng(0).normal(size=(60, 3))
        >>> split = data.by_class(x, y, classes=[2], test=(x, y))
        >>> net = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)])
        >>> net.set_weights([np.eye(3), np.array([0.0, 0.0, -1e6])])  # class 2 is masked
        >>> found = probes.linear_probe(net, split)
        >>> found.model_accuracy, found.accuracy > 0.9, found.place
        (0.0, True, "inputs of 'dense...'")

    Reference: Gao, Unal, Rangamani, Zhu, 2026, "An Illusion of Unlearning? Assessing Machine
    Unlearning Through Internal Representations", arXiv 2604.08271 (linear probing of unlearned
    models).
    Deviation: the protocol is this package's own: scikit-learn's regression, standardised
    features, and cross-fitting in the place of one division into training and test.
    """
    check(model, split, set(), seed=seed)
    check_positive(regularization=regularization)
    folds = check_count("folds", folds, 2)
    limit = None if limit is None else check_count("limit", limit)
    names = _roles(split, roles)
    reader = FeatureReader(model, layer)
    parts = [_drawn(split, role, limit, seed) for role in names]
    read = [reader.read(part, role, batch_size) for part, role in zip(parts, names, strict=True)]
    x, scores = (np.concatenate(column) for column in zip(*read, strict=True))
    labels = [part.labels(role) for part, role in zip(parts, names, strict=True)]
    forgotten = _forgotten(split, names, labels)
    y = np.concatenate(labels)
    _require_classes(y, forgotten)
    fold = _folds(y, forgotten, folds, seed)
    answers, majority, converged = _cross_fitted(x, y, fold, float(regularization))
    right, shares = answers == y, np.bincount(y) / len(y)
    return LinearProbe(
        accuracy=float(right[forgotten].mean()),
        model_accuracy=metrics.accuracy(y[forgotten], scores[forgotten]),
        others_accuracy=None if forgotten.all() else float(right[~forgotten].mean()),
        majority=float((majority == y)[forgotten].mean()),
        chance=float(shares[y[forgotten]].mean()),
        by_class=_by_class(y[forgotten], right[forgotten]),
        size=int(forgotten.sum()),
        others=int((~forgotten).sum()),
        place=reader.place,
        features=x.shape[1],
        roles=names,
        folds=folds,
        regularization=float(regularization),
        seed=int(seed),
        converged=converged,
    )


def _roles(split: ForgetSplit, roles: Sequence[str]) -> tuple[str, ...]:
    """Returns the roles' names, each checked to be there and finite."""
    names = (roles,) if isinstance(roles, str) else tuple(roles)
    if not names or len(set(names)) != len(names):
        raise ValueError(f"roles: expected one or more, each once. Received: {list(names)}.")
    for role in names:
        split.check(role)
    return names


def _drawn(split: ForgetSplit, role: str, limit: int | None, seed: int) -> ForgetSplit:
    """Returns a split in which a role holds at most so many examples."""
    if limit is None or role == "forget" or split.size(role) <= limit:
        return split
    numbers = np.random.default_rng([seed, 1])
    return split.subset(role, np.sort(numbers.permutation(split.size(role))[:limit]))


def _forgotten(
    split: ForgetSplit, roles: tuple[str, ...], labels: Sequence[np.ndarray]
) -> np.ndarray:
    """Tells for each example whether it is one of the forgotten ones."""
    if "forget" in roles:
        return np.repeat([role == "forget" for role in roles], [len(part) for part in labels])
    if not split.forgets_classes:
        raise ValueError(
            "roles: without the forget role the forgotten examples are those of forgotten classes. "
            "Expected: a split that forgets whole classes, or 'forget' among the roles. "
            f"Received: {list(roles)}."
        )
    return np.isin(np.concatenate(labels), np.unique(split.labels("forget")))


def _require_classes(y: np.ndarray, forgotten: np.ndarray) -> None:
    """Raises unless there are several classes, and two examples of each forgotten one."""
    if not forgotten.any():
        raise ValueError("roles: expected an example of a forgotten class. Received: none.")
    classes, counts = np.unique(y, return_counts=True)
    single = np.intersect1d(classes[counts == 1], y[forgotten])
    if len(classes) < 2 or single.size:
        raise ValueError(
            "split: the probe must learn each forgotten class from other examples of it, and at "
            "least one more class. Expected: two examples or more of each. Received: "
            + (f"one of class {single[0]}." if single.size else f"class {classes[0]} alone.")
        )


def _folds(y: np.ndarray, forgotten: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Returns each example's fold: dealt out in turn, in random order within class and side."""
    order = np.random.default_rng([seed, 0]).permutation(len(y))
    order = order[np.argsort((2 * y + forgotten)[order], kind="stable")]
    fold = np.empty(len(y), "int64")
    fold[order] = np.arange(len(y)) % folds
    return fold


def _cross_fitted(
    x: np.ndarray, y: np.ndarray, fold: np.ndarray, regularization: float
) -> tuple[np.ndarray, np.ndarray, bool]:
    """Returns each example's answer and majority class, and whether all fits converged."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    answers, majority, converged = np.empty_like(y), np.empty_like(y), True
    for number in np.unique(fold):
        left_out = fold == number
        probe = LogisticRegression(C=regularization, max_iter=_ITERATIONS)
        fitted = make_pipeline(StandardScaler(), probe)
        with threadpool_limits(1), warnings.catch_warnings():  # one thread: the same bytes again
            warnings.simplefilter("ignore", ConvergenceWarning)  # said by `converged`
            fitted.fit(x[~left_out], y[~left_out])
            answers[left_out] = fitted.predict(x[left_out])
        majority[left_out] = np.bincount(y[~left_out]).argmax()
        converged &= bool((probe.n_iter_ < _ITERATIONS).all())
    return answers, majority, converged


def _by_class(y: np.ndarray, right: np.ndarray) -> tuple[tuple[int, float, int], ...]:
    """Returns accuracy and number of examples of each class."""
    return tuple(
        (int(number), float(right[y == number].mean()), int((y == number).sum()))
        for number in np.unique(y)
    )
