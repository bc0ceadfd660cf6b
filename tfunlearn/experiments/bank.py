"""Banks of retrained models: for a task that comes with the package, or for a saved model."""

from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any

import keras

from tfunlearn.audit import ReferenceBank
from tfunlearn.data import ForgetSplit, scenarios
from tfunlearn.data.duplicates import Choice
from tfunlearn.experiments.files import load_model, make_split, with_initial
from tfunlearn.experiments.stages import SEED_STEP

Progress = Callable[[int, int, str], None]


def bank_of_task(
    task: str,
    out: str | PathLike,
    *,
    dataset: str = "digits",
    seed: int = 0,
    limit: int | None = None,
    epochs: int | None = None,
    data_dir: str | PathLike | None = None,
    say: Callable[[str], None] | None = print,
    **options: Any,
) -> ReferenceBank:
    """Returns the bank of a task; nothing is trained yet, the original neither.

    Args:
        task: one of ``data.scenarios.TASKS``.
        out: where banks are kept.
        dataset: as in ``data.scenarios.random``.
        seed: the task's seed. The first model has a million more, as the first reference of
            ``tfunlearn compare`` has: none starts as the original does.
        limit: training images, as in ``data.scenarios.random``.
        epochs: epochs of each model; by default the original's.
        data_dir: folder of the data files.
        say: called with each line of output; None for silence.
        **options: more arguments of ``audit.ReferenceBank``.

    Raises:
        FileNotFoundError: if the data is not there and cannot be downloaded.
        ValueError: if the task or an option is unknown or out of range.
    """
    make = scenarios.get(task)
    scenario = make(dataset, seed=seed, limit=limit, epochs=epochs, data_dir=data_dir)
    return ReferenceBank(
        out,
        scenario.untrained(),
        scenario.split,
        seed=seed + SEED_STEP,
        say=say,
        **scenario.fit_options,
        **options,
    )


def bank_of_file(
    model: str | PathLike,
    data: str | PathLike,
    out: str | PathLike,
    *,
    forget: str | PathLike | None = None,
    classes: Sequence[int] | None = None,
    duplicates: Choice = None,
    say: Callable[[str], None] | None = print,
    **options: Any,
) -> ReferenceBank:
    """Returns the bank of a saved model; nothing is trained yet.

    Args:
        model: the ``.keras`` file of the original.
        data: its data, as in ``files.make_split``.
        out: where banks are kept.
        forget: text file with an id to forget on each line; or
        classes: the classes to forget.
        duplicates: as in ``ForgetSplit.by_index``.
        say: called with each line of output; None for silence.
        **options: more arguments of ``audit.ReferenceBank``.

    Raises:
        FileNotFoundError: if a file is not there.
        ValueError: if a file cannot be used, or an option is out of range.
    """
    original = load_model(model)
    split = make_split(data, original, forget=forget, classes=classes, duplicates=duplicates)
    if say is not None and split.duplicates.sentence():
        say(split.duplicates.sentence())
    return bank_of_model(original, split, out, say=say, **options)


def bank_of_model(
    model: keras.Model, split: ForgetSplit, out: str | PathLike, **options: Any
) -> ReferenceBank:
    """Returns the bank of a model that is loaded; nothing is trained yet.

    Args:
        model: the original.
        split: its data.
        out: where banks are kept.
        **options: more arguments of ``audit.ReferenceBank``; ``initial`` may be a file, as in
            ``files.load_initial``.

    Raises:
        FileNotFoundError: if that file is not there.
        ValueError: if an option is out of range, or model and data do not fit together.
    """
    options = with_initial(model, options)
    return ReferenceBank(out, model, split, **options)


def fill(
    bank: ReferenceBank,
    count: int,
    with_forget: int = 0,
    *,
    progress: Callable[[], Progress] | None = None,
    say: Callable[[str], None] | None = print,
    **options: Any,
) -> None:
    """Fills a bank and says what is in it.

    Args:
        bank: the bank.
        count: models without the forget set.
        with_forget: models with it.
        progress: makes what is told of each model, as in ``ReferenceBank.fill``; one for each side.
        say: called with each line of output; None for silence.
        **options: more arguments of ``ReferenceBank.fill``.

    Raises:
        RuntimeError: if a training fails; what was finished is kept.
    """
    say = say or (lambda line: None)
    for include_forget, wanted in ((False, count), (True, with_forget)):
        if not wanted:
            continue
        told = None if progress is None else progress()
        made = bank.fill(wanted, include_forget=include_forget, progress=told, **options)
        seeds = bank.finished(include_forget=include_forget)
        words = "with" if include_forget else "without"
        notes = bank.notes(include_forget=include_forget)
        seconds = sum(note["seconds"] for note in notes) / len(notes)
        say(
            f"{len(seeds)} models {words} the forget set, seeds {seeds[0]} to {seeds[-1]}, "
            f"{seconds:.1f} s each; {made} of them made now, at {bank.rate}"
        )
        for role in bank.roles:
            values = bank.accuracy(role, include_forget=include_forget)
            spread = f", standard deviation {values.std(ddof=1):.4f}" if len(values) > 1 else ""
            say(f"  {role} accuracy {values.mean():.4f}{spread} (N={len(values)})")
    say(f"Kept in {bank.folder}")
