"""Certified removal from the last layer: Newton steps on a head trained with a secret noise."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

from tfunlearn import models, training
from tfunlearn.data import ForgetSplit, batches
from tfunlearn.data.labels import check_ids, check_labels
from tfunlearn.methods.checks import check
from tfunlearn.models.copying import example_batch
from tfunlearn.seeds import check_seed

GAMMA = 0.25  # Lipschitz constant of the logistic loss's second derivative, as in the paper
_ITERATIONS, _SHARE = 100, 1e-6  # of the training; what it may spend of the budget


class CertifiedHead:
    """One-vs-rest logistic regression that removes examples within a stated budget.

    The loss is ``sum_i log(1 + exp(-s_i w'x_i)) + l2 n / 2 |w|^2 + b'w`` for each class, over the
    n examples there are, where ``s_i`` is 1 for the class and -1 for the rest, and ``b`` is drawn
    once from N(0, stddev^2). What stays certain after a removal is ``spent``: a bound on the norm
    of the loss's gradient on the examples that are left. Up to ``budget`` the head is certified:
    no one who does not know ``b`` tells it, but for (epsilon, delta), from a head that was trained
    without the removed examples. This needs features that do not depend on them.

    Args:
        epsilon: largest log ratio of probabilities, inside (0, 1].
        delta: probability beyond it, inside (0, 1).
        l2: weight of the squared norm (lambda), positive.
        stddev: standard deviation of the noise in the loss (sigma), positive.

    Attributes:
        budget: what may be spent, ``stddev epsilon / sqrt(2 ln(1.5 / delta))``.
        spent: what is spent: the training's own gradient norm, then the bounds of the removals.
        weights: float64 ``(features, classes)``.

    Raises:
        ValueError: if a parameter is out of range.

    Example:
        >>> import numpy as np
        >>> from tfunlearn.methods import CertifiedHead
        >>> x, y = np.random.default_rng(0).normal(size=(200, 3)), np.arange(200) % 2
        >>> head = CertifiedHead(l2=0.1, stddev=10.0).fit(x, y, seed=7)
        >>> head.remove([5]) < head.budget
        True

    Reference: Guo, Goldstein, Hannun, van der Maaten, 2020, "Certified Data Removal from Machine
    Learning Models", arXiv 1911.03030, section 3, algorithms 1 and 2.
    Deviation: the bounds of the one-vs-rest models are joined as a Euclidean norm, since their
    noise is one Gaussian vector (the official code adds them); the spectral norm is exact (the
    official code's 20 power iterations come from below); the training's own gradient norm counts;
    epsilon above 1 is refused, where the Gaussian tail argument no longer holds.
    """

    def __init__(
        self,
        *,
        epsilon: float = 1.0,
        delta: float = 1e-4,
        l2: float = 1e-3,
        stddev: float = 0.1,
    ) -> None:
        _check_range("epsilon", epsilon, 0 < epsilon <= 1, "a number inside (0, 1]")
        _check_range("delta", delta, 0 < delta < 1, "a number inside (0, 1)")
        for name, value in (("l2", l2), ("stddev", stddev)):
            _check_range(name, value, 0 < value < math.inf, "a positive number")
        self.l2, self.stddev = float(l2), float(stddev)
        self.budget = self.stddev * epsilon / math.sqrt(2 * math.log(1.5 / delta))
        self.spent = 0.0

    def fit(
        self, features: Any, labels: Any, *, num_classes: int | None = None, seed: int = 0
    ) -> "CertifiedHead":
        """Trains the head to the optimum of its noisy loss, and starts the account anew.

        Args:
            features: finite numbers ``(N, features)``; append a column of ones for a bias. Norms
                of about 1 suit the default ``l2``.
            labels: integer labels ``(N,)``.
            num_classes: number of classes; by default the largest label plus one.
            seed: seed of the noise. Keep it secret: who knows it can undo the noise.

        Returns:
            The head itself. Costs some ten Hessians for each class.

        Raises:
            ValueError: if features are not finite or not ``(N, features)``, or labels do not fit.
            RuntimeError: if the training did not reach the optimum.
        """
        x = np.array(features, "float64")
        if x.ndim != 2 or not np.isfinite(x).all():
            raise ValueError(
                "features: expected finite numbers of shape (N, features). "
                f"Received shape {x.shape}{'' if x.ndim != 2 else ' with others among them'}."
            )
        labels = check_labels(labels, len(x), "labels")
        classes = max(int(labels.max()) + 1, num_classes or 2)
        check_seed(seed)
        self._x, self._kept = x, np.ones(len(x), bool)
        self._signs = np.where(labels[:, None] == np.arange(classes), 1.0, -1.0)
        numbers = np.random.default_rng([seed, 1])
        self._noise = self.stddev * numbers.standard_normal((x.shape[1], classes))
        self.weights = _minimise(x, self._signs, self._noise, self.l2, _SHARE * self.budget)
        self.spent = self.residual()
        if self.spent > self.budget:
            raise RuntimeError(
                "the training did not reach its optimum. Expected: a gradient norm within the "
                f"budget of {self.budget:.3g}. Received: {self.spent:.3g}; raise l2."
            )
        return self

    def residual(self) -> float:
        """Returns the norm of the noisy loss's gradient on the examples that are left."""
        return float(np.linalg.norm(self._gradient(self.weights, self._kept)))

    def remove(self, ids: Sequence[int] | np.ndarray, *, steps: int = 1) -> float:
        """Removes examples by Newton steps, if the budget allows it.

        The first step is the paper's, from the gradient of the removed examples alone, and its
        bound adds to what is spent. If that is over the budget, each further step starts from the
        whole gradient on what is left; its bound then stands for all that was spent before.

        Args:
            ids: positions in the features that ``fit`` was given, each one once.
            steps: most Newton steps, at least 1; 1 is the paper's removal.

        Returns:
            What is spent now. Costs one Hessian for each class and step.

        Raises:
            ValueError: if ids are not there (any more), or ``steps`` is below 1.
            RuntimeError: if the budget would be overspent. The head then is as it was.
        """
        if not isinstance(steps, int | np.integer) or steps < 1:
            raise ValueError(
                "steps: the removal changed nothing. Expected: a whole number of Newton steps "
                f"from 1. Received: {steps!r}."
            )
        kept = self._without(ids)
        x, weights, carried = self._x[kept], self.weights, self.spent
        norm = math.sqrt(np.linalg.eigvalsh(x.T @ x)[-1])
        removed = self._kept & ~kept
        gradient = -_gradient(self._x[removed], self._signs[removed], weights, self.l2)
        for _ in range(steps):
            step = -_newton(x, self._signs[kept], weights, self.l2, gradient)
            sizes = np.linalg.norm(step, axis=0) * np.linalg.norm(x @ step, axis=0)
            weights = weights + step
            spent = carried + GAMMA * norm * float(np.linalg.norm(sizes))
            if spent <= self.budget:
                self.weights, self._kept, self.spent = weights, kept, spent
                return spent
            carried, gradient = 0.0, self._gradient(weights, kept)
        raise RuntimeError(
            f"the removal budget is spent: removing {removed.sum()} examples in {steps} Newton "
            f"steps costs {spent:.3g}. Expected: at most {self.budget:.3g} in all, "
            f"{self.spent:.3g} of it spent before. Remove fewer, allow more steps, raise l2, or "
            "retrain (methods.retrain)."
        )

    def _without(self, ids: Any) -> np.ndarray:
        """Returns which examples stay."""
        rows = check_ids(ids, len(self._x), "ids")
        gone = rows[~self._kept[rows]]
        if gone.size or len(rows) == self._kept.sum():
            raise ValueError(
                "ids: expected examples that are still there, and not all of them. "
                f"Received: {gone[0] if gone.size else 'all that are left'}."
            )
        kept = self._kept.copy()
        kept[rows] = False
        return kept

    def _gradient(self, weights: np.ndarray, kept: np.ndarray) -> np.ndarray:
        """Returns the gradient of the noisy loss on some examples."""
        return _gradient(self._x[kept], self._signs[kept], weights, self.l2) + self._noise


def certified_last_layer(
    model: keras.Model,
    split: ForgetSplit,
    *,
    seed: int = 0,
    batch_size: int = 128,
    jit_compile: bool | str = "auto",
    verbose: int | str = 0,
    epsilon: float = 1.0,
    delta: float = 1e-4,
    l2: float = 1e-3,
    stddev: float = 0.1,
    steps: int = 10,
) -> keras.Model:
    """Trains the last layer anew with noise in its loss, and removes the forget set from it.

    The removal is certified for the new last layer, under three assumptions that nothing here can
    check. (1) The layers below were trained without the forget set, on public data, say; what
    they know of it stays, and that may be as much as the original knew. (2) Nobody who sees the
    model knows ``seed``, or sees the head from before the removal. (3) The split is fixed: for one
    request after another use ``CertifiedHead``, which keeps one account for all.

    Args:
        model: the original; its last layer is Dense. It is left as it was.
        split: the data; reads ``forget`` and ``retain``.
        seed: seed of the noise in the loss. For the guarantee draw it at random and keep it secret.
        batch_size: examples a batch, where features are computed.
        jit_compile: as in ``keras.Model.compile``, for the features.
        verbose: as in ``keras.Model.predict``.
        epsilon: largest log ratio of probabilities, inside (0, 1].
        delta: probability beyond it, inside (0, 1).
        l2: weight of the squared norm for each example (lambda), positive.
        stddev: standard deviation of the noise (sigma), positive; more of it allows more removals
            and costs accuracy.
        steps: most Newton steps of the removal, at least 1.

    Returns:
        The model with the new head: one-vs-rest scores in the place of logits, so that losses and
        probabilities are not calibrated. Costs one pass over forget and retain without training,
        and for each class some twenty Hessians of the features.

    Raises:
        ValueError: if the last layer is not Dense with a linear or softmax activation, or a
            parameter is out of range.
        RuntimeError: if the removal costs more than the budget of epsilon and delta; retrain then.

    Reference: Guo, Goldstein, Hannun, van der Maaten, 2020, "Certified Data Removal from Machine
    Learning Models", arXiv 1911.03030, theorem 3, corollaries 1 and 2, section 4.3.
    Deviation: as ``CertifiedHead``. The paper takes one Newton step (``steps=1``), which the
    removal of a tenth of the data does not survive; further steps are charged by the same bound.
    Features are divided by the largest norm in the retain set, and a bias is a feature of ones.
    l2 and stddev are set for that scale; the paper's are 2e-4 to 1e-3 and 10.
    """
    check(model, split, {"forget", "retain"}, seed=seed)
    split = split.unweighted()
    head = CertifiedHead(epsilon=epsilon, delta=delta, l2=l2, stddev=stddev)
    student = models.copy(model, seed=seed)
    dense = _head(student)[0]
    reader = _reader(model, jit_compile)
    forget, retain = (
        reader.predict(batches(split, role, batch_size=batch_size), verbose=verbose)
        for role in ("forget", "retain")
    )
    scale = 1.0 / max(float(np.linalg.norm(retain.astype("float64"), axis=1).max()), 1e-12)
    x = scale * np.concatenate([forget, retain]).astype("float64")
    if dense.use_bias:
        x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    labels = np.concatenate([split.labels("forget"), split.labels("retain")])
    head.fit(x, labels, num_classes=dense.units, seed=seed)
    head.remove(np.arange(len(forget)), steps=steps)
    dense.kernel.assign(scale * head.weights[: forget.shape[1]])
    if dense.use_bias:
        dense.bias.assign(head.weights[-1])
    return training.finish(student, model)


def _reader(model: keras.Model, jit_compile: bool | str) -> keras.Model:
    """Returns a copy of a model that gives what its last Dense layer is given."""
    reader = models.copy(model)
    dense, *after = _head(reader)
    batch = example_batch(model)
    expected = reader(batch, training=False)
    for layer in (dense, *after):
        layer.call = lambda inputs, **others: inputs
    features = reader(batch, training=False)
    kernel, bias = (
        0.0 if weight is None else keras.ops.cast(weight, features.dtype)  # as the layer does
        for weight in (dense.kernel, dense.bias)
    )
    scores = keras.ops.matmul(features, kernel) + bias
    for given in (scores, keras.ops.softmax(scores)):
        if np.allclose(*map(keras.ops.convert_to_numpy, (given, expected)), atol=1e-3):
            reader.compile(jit_compile=jit_compile)
            return reader
    raise _more(dense)


def _head(model: keras.Model) -> list[keras.layers.Layer]:
    """Returns the Dense layer that gives the scores, and what comes after it."""
    models.gives_logits(model)  # raises unless the last activation is linear or softmax
    after: list[keras.layers.Layer] = []
    for layer in _from_the_end(model):
        if isinstance(layer, keras.layers.Dense):
            if layer.activation not in (keras.activations.linear, keras.activations.softmax):
                raise _more(layer)
            return [layer, *after]
        if not isinstance(layer, keras.layers.Softmax | keras.layers.Activation):
            raise _no_head(f"{type(layer).__name__} {layer.name!r}")
        after.append(layer)
    raise _no_head("none")


def _from_the_end(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """Yields the layers of a model from its output backwards, as far as they form a chain."""
    if isinstance(model, keras.Sequential) or not getattr(model, "outputs", None):
        chain = iter(model.layers[::-1])
    else:
        chain = _history(model.outputs[0])
    for layer in chain:
        if isinstance(layer, keras.Model):
            yield from _from_the_end(layer)
        else:
            yield layer


def _history(tensor: Any) -> Iterator[keras.layers.Layer]:
    """Yields the layer that made a symbolic tensor, the one before it, and so on."""
    while not isinstance(tensor, list | tuple | dict):
        layer = tensor._keras_history.operation
        if isinstance(layer, keras.layers.InputLayer):
            return
        yield layer
        tensor = layer.input


def _more(dense: keras.layers.Dense) -> ValueError:
    """Returns the error of a model that does more to its head's scores than a softmax."""
    return _no_head(f"a model that computes more than {dense.name!r} at its end")


def _no_head(received: str) -> ValueError:
    """Returns the error of a model whose head cannot be replaced."""
    return ValueError(
        "model: its head cannot be trained as a linear classifier. Expected: a Dense layer of "
        f"class scores at the end, followed by nothing but a softmax. Received: {received}."
    )


def _minimise(
    x: np.ndarray, signs: np.ndarray, noise: np.ndarray, l2: float, tolerance: float
) -> np.ndarray:
    """Returns the optimum of each class's noisy loss, by damped Newton steps from zero."""

    def values(weights: np.ndarray) -> np.ndarray:
        fit = np.logaddexp(0.0, -signs * (x @ weights)).sum(0)
        return fit + (l2 * len(x) / 2 * weights**2 + noise * weights).sum(0)

    weights = np.zeros_like(noise)
    for _ in range(_ITERATIONS):
        gradient = _gradient(x, signs, weights, l2) + noise
        if np.linalg.norm(gradient) <= tolerance:
            break
        step = -_newton(x, signs, weights, l2, gradient)
        size, now = np.ones(noise.shape[1]), values(weights)
        limit = 1e-4 * (gradient * step).sum(0)
        most = now + 1e-12 * abs(now)  # as far as rounding goes
        while (worse := values(weights + size * step) > most + size * limit).any():
            size[worse] /= 2
        weights = weights + size * step
    return weights


def _gradient(x: np.ndarray, signs: np.ndarray, weights: np.ndarray, l2: float) -> np.ndarray:
    """Returns the gradient of each class's loss without its noise, ``(features, classes)``."""
    wrong = _sigmoid(-signs * (x @ weights))
    return -x.T @ (signs * wrong) + l2 * len(x) * weights


def _newton(
    x: np.ndarray, signs: np.ndarray, weights: np.ndarray, l2: float, gradient: np.ndarray
) -> np.ndarray:
    """Returns each class's inverse Hessian times its gradient."""
    likely = _sigmoid(signs * (x @ weights))
    ridge = l2 * len(x) * np.eye(x.shape[1])
    columns = [
        np.linalg.solve((x.T * (p * (1 - p))) @ x + ridge, g)
        for p, g in zip(likely.T, gradient.T, strict=True)
    ]
    return np.stack(columns, axis=1)


def _sigmoid(scores: np.ndarray) -> np.ndarray:
    """Returns the logistic function, without overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * scores))


def _check_range(name: str, value: float, holds: bool, rule: str) -> None:
    """Raises unless a parameter is in its range."""
    if not holds:
        raise ValueError(f"{name}: expected {rule}. Received: {value!r}.")
