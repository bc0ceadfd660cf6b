"""The demonstration: forget digits in two ways, by several methods, beside retrained models."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from os import PathLike

import keras
import numpy as np

from tfunlearn import methods, models
from tfunlearn.data import ForgetSplit, Normalizer, datasets
from tfunlearn.experiments import demo_page
from tfunlearn.experiments.stages import write_json
from tfunlearn.reading import expanded
from tfunlearn.report import AuditReport
from tfunlearn.storage import output

BATCH_SIZE = 32
TRAINING_EPOCHS = 20
FORGOTTEN_CLASS = 3
REFERENCES = ("retrained", "retrained again")
SHOWN = ("finetune", "vision_confuser", "neggrad_plus", "salun", "ssd")


@dataclass
class Task:
    """One thing to forget, and what came of it.

    Attributes:
        name: ``"random"`` or ``"class"``, also the name of its files.
        request: what is to be forgotten, in words.
        split: the data.
        made: name to model, in the order of the table.
        seconds: name to the seconds that it took.
        failed: method to the reason why it has no model.
        report: the audit, once it is made.
    """

    name: str
    request: str
    split: ForgetSplit
    made: dict[str, keras.Model] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    report: AuditReport | None = None


def demo(
    out: str | PathLike = "tfunlearn-demo",
    *,
    seed: int = 0,
    epochs: int | None = None,
    forget_fraction: float = 0.1,
    limit: int | None = 500,
    which: Sequence[str] | None = SHOWN,
    training_epochs: int = TRAINING_EPOCHS,
    force: bool = False,
    verbose: int = 0,
    say: Callable[[str], None] | None = print,
) -> dict[str, AuditReport]:
    """Trains on digits, forgets two ways by several methods, audits, and writes what it found.

    A small network learns few enough digits to know them by heart. Then a random share of them,
    and one whole digit, are forgotten by several methods, and each result is set beside two models
    that never saw what was forgotten. Takes about a minute on two cores.

    Args:
        out: folder for report.html, report.json and, for each task, .html, .json and .png.
        seed: seed of all that is drawn.
        epochs: epochs of each unlearning; by default each method's own.
        forget_fraction: share of the training images that the random task forgets.
        limit: use only this many of the 1,437 training images; None for all.
        which: names of the methods to try, ``SHOWN`` by default; None for every method there is,
            which takes several minutes.
        training_epochs: epochs of the original and of the retrained models.
        force: overwrite files in ``out`` that this command did not write.
        verbose: as in ``keras.Model.fit``.
        say: called with each line of output; None for silence.

    Returns:
        The audit of each task, by its name, ``"random"`` and ``"class"``. A method that failed, or
        that is not made for a task, is absent from the audit and named in its notes.

    Raises:
        OSError: if ``out`` cannot be written to.
        ValueError: if a setting is out of range or a method is unknown.
        storage.Refused: if ``out`` is another command's.
    """
    say = say or (lambda line: None)
    names = [methods.describe(name).name for name in (which or methods.names())]
    out, start = expanded(out, "out"), time.perf_counter()
    tasks, (x, y) = _tasks(seed, forget_fraction, limit)
    files = [f"{task.name}.{kind}" for task in tasks for kind in ("html", "json", "png")]
    with output(out, "demo", ["report.html", "report.json", *files], force=force) as results:
        say(f"{len(y)} handwritten digits, a small convolutional network, two things to forget.")
        original, seconds = _timed(lambda: _train(x, y, seed, training_epochs, verbose))
        say(f"  original: trained in {seconds:.1f} s")
        for task in tasks:
            say(f"Forget {task.request}:")
            task.made["original"], task.seconds["original"] = original, seconds
            _retrain(task, original, seed, training_epochs, verbose, say)
            _unlearn(task, original, names, seed, epochs, verbose, say)
            _audit(task, seed)
        lines = demo_page.table(tasks)
        settings = {
            "seed": seed,
            "epochs": epochs,
            "forget_fraction": forget_fraction,
            "limit": limit,
            "methods": names,
            "training_epochs": training_epochs,
        }
        write_json(results.path("report.json"), demo_page.summary(tasks, settings))
        for task in tasks:
            task.report.save(results.path(f"{task.name}.json"))
            task.report.to_html(results.path(f"{task.name}.html"))
            task.report.plot(results.path(f"{task.name}.png"))
        demo_page.write(results.path("report.html"), tasks, lines)
    for line in ("", *lines, ""):
        say(line)
    say(f"Written to {out} in {time.perf_counter() - start:.0f} s: report.html, report.json,")
    say(f"  {', '.join(files)}")
    say(f"Next: open {out / 'report.html'} and compare the rows with the retrained models.")
    return {task.name: task.report for task in tasks}


def _tasks(
    seed: int, fraction: float, limit: int | None
) -> tuple[list[Task], tuple[np.ndarray, np.ndarray]]:
    """Returns the two tasks, and the training data that they divide."""
    (x, y), (x_test, y_test) = datasets.load("digits")
    normalize = Normalizer.named("digits")
    x, x_test, y = normalize(x[:limit, ..., None]), normalize(x_test[..., None]), y[:limit]
    data = {"test": (x_test, y_test), "num_classes": 10}
    tasks = [
        Task(
            "random",
            f"a random {100 * fraction:.3g} %",
            ForgetSplit.random(x, y, fraction=fraction, seed=seed, **data),
        ),
        Task(
            "class",
            f"every {FORGOTTEN_CLASS}",
            ForgetSplit.by_class(x, y, classes=[FORGOTTEN_CLASS], **data),
        ),
    ]
    return tasks, (x, y)


def _train(x: np.ndarray, y: np.ndarray, seed: int, epochs: int, verbose: int) -> keras.Model:
    """Trains the original on everything."""
    model = models.small_cnn(seed=seed)
    model.compile(
        optimizer=keras.optimizers.Adam(3e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    order = np.random.default_rng(seed).permutation(len(y))
    options = {"batch_size": BATCH_SIZE, "epochs": epochs, "verbose": verbose}
    model.fit(x[order], y[order], shuffle=False, **options)
    return model


def _retrain(
    task: Task,
    original: keras.Model,
    seed: int,
    epochs: int,
    verbose: int,
    say: Callable[[str], None],
) -> None:
    """Makes the references: trained as the original was, without the forget set."""
    options = {"epochs": epochs, "batch_size": BATCH_SIZE, "verbose": verbose}
    for number, name in enumerate(REFERENCES, start=1):
        task.made[name], task.seconds[name] = _timed(
            lambda number=number: methods.retrain(
                original, task.split, seed=seed + number, **options
            )
        )
        say(f"  {name}: {task.seconds[name]:.1f} s")


def _unlearn(
    task: Task,
    original: keras.Model,
    names: Sequence[str],
    seed: int,
    epochs: int | None,
    verbose: int,
    say: Callable[[str], None],
) -> None:
    """Makes a model with each method but the reference; one that fails leaves its reason."""
    kind = {"random": "examples", "class": "class"}[task.name]
    options = {"seed": seed, "batch_size": BATCH_SIZE, "verbose": verbose}
    options |= {} if epochs is None else {"epochs": epochs}
    for name in names:
        method = methods.describe(name)
        if method.function is methods.retrain:
            continue
        if method.scope not in ("both", kind):
            task.failed[name] = "not made for this task"
            continue
        own = {key: value for key, value in options.items() if key in method.options}
        try:
            task.made[name], task.seconds[name] = _timed(
                lambda name=name, own=own: methods.unlearn(original, task.split, name, **own)
            )
        except Exception as error:  # one method's failure is a row, not the end
            task.failed[name] = f"failed: {' '.join(str(error).split()) or type(error).__name__}"
            say(f"  {name}: {task.failed[name]}")
            continue
        say(f"  {name}: {task.seconds[name]:.1f} s")


def _audit(task: Task, seed: int) -> None:
    """Fills in the task's report, with the failures among its notes."""
    from tfunlearn import audit

    report = audit.compare(
        task.made,
        task.split,
        reference=REFERENCES,
        seconds=task.seconds,
        title=f"Forget {task.request}",
        seed=seed,
    )
    failures = [f"{name}: {reason}" for name, reason in task.failed.items()]
    task.report = dataclasses.replace(report, notes=(*failures, *report.notes))


def _timed(make: Callable[[], keras.Model]) -> tuple[keras.Model, float]:
    """Returns a model and the seconds it took to make."""
    start = time.perf_counter()
    model = make()
    return model, round(time.perf_counter() - start, 3)
