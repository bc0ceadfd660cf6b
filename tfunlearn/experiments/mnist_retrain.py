"""The MNIST notebook: train on everything, discard, retrain on the tenth that stays."""

from collections.abc import Callable
from os import PathLike
from typing import Any, Literal

import keras
import numpy as np

from tfunlearn import methods, metrics, models
from tfunlearn.audit import outputs
from tfunlearn.audit.environment import environment
from tfunlearn.data import ForgetSplit, Normalizer, datasets
from tfunlearn.experiments.stages import SEED_STEP, Stages, write_json
from tfunlearn.storage import output
from tfunlearn.storage.scratch import clear_writings

BATCH_SIZE = 32
LEARNING_RATE = 5e-3
MOMENTUM = 0.9


def mnist_retrain(
    out: str | PathLike,
    *,
    data_dir: str | PathLike | None = None,
    seed: int = 0,
    epochs: int = 5,
    forget_fraction: float = 0.9,
    limit: int | None = None,
    init: Literal["keras", "torch"] = "torch",
    force: bool = False,
    verbose: int = 0,
    say: Callable[[str], None] | None = print,
) -> dict[str, Any]:
    """Follows the MNIST notebook step by step, and goes on where a killed run stopped.

    Args:
        out: folder for result.json and, under ``stages``, the two trained models.
        data_dir: folder of mnist.npz; else ``TFUNLEARN_DATA_DIR``; else it is downloaded.
        seed: seed of the split and of everything that is drawn.
        epochs: epochs of the training on everything, and of the retraining.
        forget_fraction: share of the training images to forget, inside (0, 1).
        limit: use only this many training images and a sixth as many test images.
        init: initial weights, as in ``models.mnist_dense``; ``"torch"`` as in the notebook.
        force: overwrite a ``result.json`` that this command did not write.
        verbose: as in ``keras.Model.fit``.
        say: called with each line of output; None for silence.

    Returns:
        The content of result.json: the notebook's numbers (accuracies as fractions, average losses
        in nats, ``seconds`` for both trainings), the settings and the environment.

    Raises:
        FileNotFoundError: if the data is not there and cannot be downloaded.
        OSError: if ``out`` cannot be written to.
        ValueError: if a setting is out of range.
        storage.Refused: if ``out`` is another command's.

    Reference: the notebook "Retrain-from-scratch Unlearning on MNIST".
    Deviation: everything is seeded; the erased model is drawn from another seed than the first.
    """
    say = say or (lambda line: None)
    split, train = make_split(data_dir, seed, forget_fraction, limit)
    say(str(split))
    settings = {
        "experiment": "mnist-retrain",
        "seed": seed,
        "epochs": epochs,
        "forget_fraction": forget_fraction,
        "limit": limit,
        "init": init,
        "batch_size": BATCH_SIZE,
        "learning_rate": LEARNING_RATE,
        "momentum": MOMENTUM,
        "split": split.fingerprint(),
    }
    with output(out, "mnist-retrain", ["result.json"], force=force) as results:
        clear_writings(results.folder / "stages")
        stages = Stages(results.folder / "stages", settings, say)
        figures = _follow(stages, split, train, settings, verbose, say)
        seconds = round(sum(stages.seconds.values()), 3)
        result = {
            **figures,
            "seconds": seconds,
            "settings": settings,
            "environment": environment(),
        }
        write_json(results.path("result.json"), result)
    for line in summary(result):
        say(line)
    return result


def _follow(
    stages: Stages,
    split: ForgetSplit,
    train: tuple[np.ndarray, np.ndarray],
    settings: dict[str, Any],
    verbose: int,
    say: Callable[[str], None],
) -> dict[str, float]:
    """Goes through the notebook's steps and returns its numbers, all but the seconds."""
    fit = {"epochs": settings["epochs"], "verbose": verbose}
    untrained = models.mnist_dense(init=settings["init"], seed=settings["seed"])
    before = accuracy(untrained, split, "test")
    say(f"Model accuracy before training: {before:.4f}")

    needed = ("average_loss",)
    trained, figures = stages.measured(
        "trained", lambda: _train(untrained, *train, **fit), {}, needed
    )
    trained_loss, trained_accuracy = figures["average_loss"], accuracy(trained, split, "test")
    say(_trained_line(trained_loss, trained_accuracy))

    second = settings["seed"] + SEED_STEP  # draws the erased model, and the same one to retrain
    erased = accuracy(models.reinitialized(trained, seed=second), split, "test")
    say(f"Model accuracy after erasing: {erased:.4f}")

    unlearned, figures = stages.measured(
        "retrained", lambda: _retrain(trained, split, second, **fit), {"seed": second}, needed
    )
    retrained_loss, unlearned_accuracy = figures["average_loss"], accuracy(unlearned, split, "test")
    say(_trained_line(retrained_loss, unlearned_accuracy))
    forget_accuracy = accuracy(unlearned, split, "forget")
    return {
        "untrained_test_accuracy": before,
        "trained_average_loss": trained_loss,
        "trained_test_accuracy": trained_accuracy,
        "erased_test_accuracy": erased,
        "retrained_average_loss": retrained_loss,
        "unlearned_test_accuracy": unlearned_accuracy,
        "unlearned_forget_accuracy": forget_accuracy,
        "performance_drop": metrics.performance_drop(unlearned_accuracy, trained_accuracy),
        "forgetting_effectiveness": forget_accuracy,
        "utility_preservation": metrics.utility_preservation(unlearned_accuracy, trained_accuracy),
    }


def make_split(
    data_dir: str | PathLike | None, seed: int, forget_fraction: float, limit: int | None
) -> tuple[ForgetSplit, tuple[np.ndarray, np.ndarray]]:
    """Returns normalised, flat MNIST as a random split, and its training data in file order."""
    (x, y), (x_test, y_test) = datasets.load("mnist", data_dir)
    if limit is not None:
        held_out = max(1, limit // 6)
        x, y, x_test, y_test = x[:limit], y[:limit], x_test[:held_out], y_test[:held_out]
    normalize = Normalizer.named("mnist")
    x, x_test = (normalize(images.reshape(len(images), -1)) for images in (x, x_test))
    split = ForgetSplit.random(
        x, y, fraction=forget_fraction, seed=seed, test=(x_test, y_test), num_classes=10
    )
    return split, (x, y)


def accuracy(model: keras.Model, split: ForgetSplit, role: str) -> float:
    """Returns the share of right answers of a model on a role, in inference mode."""
    return metrics.accuracy(split.labels(role), outputs.logits(model, split, role))


def summary(result: dict[str, Any]) -> list[str]:
    """Returns the notebook's last lines."""
    return [
        "",
        f"Trained model, accuracy on the test set: {result['trained_test_accuracy']:.4f}",
        f"Unlearned model, accuracy on the forget set: {result['unlearned_forget_accuracy']:.4f}",
        f"Unlearned model, accuracy on the test set: {result['unlearned_test_accuracy']:.4f}",
        f"Performance drop on the test set: {result['performance_drop']:.4f}",
        f"Forgetting effectiveness: {result['forgetting_effectiveness']:.4f} "
        "(for random forgetting the target is the test accuracy, not zero)",
        f"Utility preservation: {result['utility_preservation']:.4f} (closer to 1.0 is better)",
    ]


class BatchLosses(keras.callbacks.Callback):
    """Averages the training loss over batches, each batch counting the same.

    Keras reports a running mean over the examples of an epoch, in which a short last batch counts
    for less. The notebook divides the sum of all batch losses by the number of batches.

    Args:
        size: examples an epoch.
        batch_size: examples a batch; the last one may hold fewer.
    """

    def __init__(self, size: int, batch_size: int) -> None:
        super().__init__()
        self._size, self._batch_size = size, batch_size
        self._total, self._batches = 0.0, 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Starts a running mean, as Keras does."""
        self._seen, self._sum = 0, 0.0

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Takes one batch's loss out of the running mean."""
        seen = min((batch + 1) * self._batch_size, self._size)
        summed = float(logs["loss"]) * seen
        self._total += (summed - self._sum) / (seen - self._seen)
        self._batches += 1
        self._seen, self._sum = seen, summed

    def mean(self) -> float:
        """Returns the mean over all batches of all epochs, in nats."""
        return self._total / self._batches


def _train(
    model: keras.Model, x: np.ndarray, y: np.ndarray, *, epochs: int, verbose: int
) -> tuple[keras.Model, dict[str, float]]:
    """Trains a model on everything, in file order as the notebook does."""
    model.compile(
        optimizer=keras.optimizers.SGD(LEARNING_RATE, momentum=MOMENTUM),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    losses = BatchLosses(len(y), BATCH_SIZE)
    fit = {"batch_size": BATCH_SIZE, "epochs": epochs, "shuffle": False, "verbose": verbose}
    model.fit(x, y, callbacks=[losses], **fit)
    return model, {"average_loss": losses.mean()}


def _retrain(
    trained: keras.Model, split: ForgetSplit, seed: int, *, epochs: int, verbose: int
) -> tuple[keras.Model, dict[str, float]]:
    """Retrains from fresh weights on the retain set, shuffled as in the notebook."""
    losses = BatchLosses(split.size("retain"), BATCH_SIZE)
    model = methods.retrain(
        trained,
        split,
        seed=seed,
        epochs=epochs,
        batch_size=BATCH_SIZE,
        callbacks=[losses],
        verbose=verbose,
    )
    return model, {"average_loss": losses.mean()}


def _trained_line(loss: float, score: float) -> str:
    return f"Model trained with average loss: {loss:.4f} and accuracy: {score:.4f}"
