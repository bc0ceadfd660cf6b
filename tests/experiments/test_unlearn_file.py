"""A model of one's own, from file to file: what works, and what is refused before it starts."""

import json
import os
import pathlib
import shlex
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest

from tfunlearn import cli, methods, models
from tfunlearn.data import ForgetSplit
from tfunlearn.experiments import unlearn_file as command
from tfunlearn.experiments.files import load_model, make_split, read_ids
from tfunlearn.experiments.unlearn_file import unlearn_file
from tfunlearn.methods import Method
from tfunlearn.report import AuditReport
from tfunlearn.storage import output

# of JAX, once it is in use; the child replaces itself at once, or is killed
pytestmark = pytest.mark.filterwarnings(r"ignore:os\.fork\(\) was called:RuntimeWarning")

L = keras.layers
CLASSES, COUNT = 3, 60
LOGITS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
QUICK = ["--set", "epochs=1", "batch_size=20"]


@keras.saving.register_keras_serializable("tests")
class Own(keras.Model):
    def __init__(self, units=CLASSES, **options):
        super().__init__(**options)
        self.units = units
        self.flat, self.hidden, self.head = L.Flatten(), L.Dense(6, "relu"), L.Dense(units)

    def call(self, inputs):
        return self.head(self.hidden(self.flat(inputs)))

    def get_config(self):
        return {**super().get_config(), "units": self.units}


class Unregistered(Own):
    pass


def _arrays(dtype="float32"):
    numbers = np.random.default_rng(0)
    x, y = numbers.normal(size=(COUNT + 30, 4, 4, 1)), np.arange(COUNT + 30) % CLASSES
    x[np.arange(len(y)), y, 0, 0] += 3.0
    if dtype == "uint8":
        x = np.clip(40 * x + 100, 0, 255)
    return x.astype(dtype), y


def _save_data(folder, dtype="float32", one_hot=False, **changes):
    x, y = _arrays(dtype)
    y = np.eye(CLASSES, dtype="float32")[y] if one_hot else y
    arrays = {"x_train": x[:COUNT], "y_train": y[:COUNT], "x_test": x[COUNT:], "y_test": y[COUNT:]}
    np.savez(folder / "data.npz", **{**arrays, **changes})
    return folder / "data.npz"


def _sequential(*layers, head="softmax"):
    return keras.Sequential([keras.Input((4, 4, 1)), *layers, L.Flatten(), L.Dense(CLASSES, head)])


def _functional():
    inputs = keras.Input((4, 4, 1))
    hidden = L.ReLU()(L.BatchNormalization()(L.Conv2D(4, 3)(inputs)))
    return keras.Model(inputs, L.Dense(CLASSES)(L.GlobalAveragePooling2D()(hidden)))


def _nested():
    inner = keras.Sequential([keras.Input((4, 4, 1)), L.Conv2D(4, 3, activation="relu")])
    return _sequential(inner, L.Dropout(0.3))


def _subclassed():
    model = Own()
    model(np.zeros((1, 4, 4, 1), "float32"))
    return model


def _frozen():
    model = _sequential(L.Conv2D(4, 3), L.BatchNormalization())
    for layer in model.layers[:2]:
        layer.trainable = False
    return model


SPARSE = "sparse_categorical_crossentropy"
MODELS = {  # how to build it, its loss, the kind of data
    "sequential": (_sequential, SPARSE, {}),
    "functional, logits": (_functional, LOGITS, {}),
    "nested": (_nested, SPARSE, {}),
    "subclassed": (_subclassed, LOGITS, {}),
    "frozen": (_frozen, SPARSE, {}),
    "preprocessing": (lambda: _sequential(L.Rescaling(1 / 255)), SPARSE, {"dtype": "uint8"}),
    "one-hot": (
        _sequential,
        keras.losses.CategoricalCrossentropy(label_smoothing=0.1),
        {"one_hot": True},
    ),
    "one-hot, logits": (
        _functional,
        keras.losses.CategoricalCrossentropy(from_logits=True),
        {"one_hot": True},
    ),
    "one-hot, squares": (_sequential, "mse", {"one_hot": True}),
    "float64": (_sequential, SPARSE, {"dtype": "float64"}),
}


def _save_model(folder, build=_sequential, loss=SPARSE, name="model.keras", compiled=True, seed=0):
    keras.utils.set_random_seed(seed)
    model = build()
    if compiled:
        model.compile(keras.optimizers.SGD(0.1, momentum=0.9), loss, metrics=["accuracy"])
    model.save(folder / name)
    return model


@pytest.fixture
def task(tmp_path):
    """A folder with a model, its data and ids, and a function that runs the command on them."""
    _save_model(tmp_path)
    _save_data(tmp_path)
    (tmp_path / "ids.txt").write_text("3\n 7 \n\n11\n" + "\n".join(map(str, range(20, 32))))
    return tmp_path


def run(task, *args, forget=("--forget", "ids.txt"), method="finetune", model="model.keras"):
    forget = [str(task / part) if part.endswith(".txt") else part for part in forget]
    files = ["--model", str(task / model), "--data", str(task / "data.npz")]
    out = ["--out", str(task / "out")]
    return cli.main(["unlearn", *files, *forget, "--method", method, *out, *args])


def written(task):
    return sorted(path.name for path in (task / "out").iterdir() if path.name != ".tfunlearn")


QUICK_KINDS = ("functional, logits", "subclassed", "one-hot")


ALONE = ["report.html", "report.json", "report.txt", "unlearned.keras"]


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=[] if kind in QUICK_KINDS else [pytest.mark.slow])
        for kind in MODELS
    ],
)
def test_models_of_every_kind(kind, task):
    build, loss, data = MODELS[kind]
    before = _save_model(task, build, loss)
    _save_data(task, **data)
    assert run(task, *QUICK) == 0
    assert written(task) == ALONE
    after = keras.saving.load_model(task / "out" / "unlearned.keras")
    assert type(after) is type(before)
    assert models.weight_distance(before, after) > 0
    for old, new in zip(models.iter_layers(before), models.iter_layers(after), strict=True):
        assert old.trainable == new.trainable
        if not old.trainable:
            for left, right in zip(old.get_weights(), new.get_weights(), strict=True):
                np.testing.assert_array_equal(left, right)
    configs = [model.get_compile_config()["loss"] for model in (before, after)]
    assert configs[0] == configs[1]


def test_the_references_of_the_command_line_are_those_of_python(task):
    model = _save_model(task, loss=keras.losses.CategoricalFocalCrossentropy())
    _save_data(task, one_hot=True)
    assert run(task, *QUICK, "--retrain", "epochs=2", "batch_size=20") == 0
    made = keras.saving.load_model(task / "out" / "retrained.keras")
    split = make_split(task / "data.npz", model, forget=task / "ids.txt")
    same = methods.retrain(model, split, seed=1, epochs=2, batch_size=20)
    assert models.weight_distance(same, made) < 1e-5
    assert type(made.loss) is keras.losses.CategoricalFocalCrossentropy


def test_without_a_reference_the_report_says_so(task, capsys):
    assert run(task, *QUICK) == 0
    text = (task / "out" / "report.txt").read_text()
    assert "No reference was given" in text
    assert text.strip() in capsys.readouterr().out
    assert "No reference was given" in (task / "out" / "report.html").read_text()
    report = AuditReport.load(task / "out" / "report.json")
    assert (report.references, report.reference_count) == ((), 0)
    assert any("No reference was given" in note for note in report.notes)
    assert any("--reference" in note and "--retrain" in note for note in report.notes)
    assert [row.name for row in report.rows] == ["original", "finetune"]
    made = keras.saving.load_model(task / "out" / "unlearned.keras")
    x, y = _arrays()
    chosen = read_ids(task / "ids.txt")
    accuracy = np.mean(made.predict(x[chosen], verbose=0).argmax(-1) == y[chosen])
    assert report.value("finetune", "forget_accuracy") == pytest.approx(accuracy)
    assert report.gap("finetune", "forget_accuracy") is None
    assert report.value("original", "weight_distance") == 0
    assert report.value("finetune", "seconds") > 0
    note = report.notes[-1]
    for word in (
        "finetune with epochs=1, batch_size=20, seed 0",
        "model.keras, sha256",
        "data.npz",
    ):
        assert word in note


def test_beside_references(task, capsys):
    _save_model(task, name="other.keras", seed=1)
    args = ["--reference", str(task / "other.keras"), "--retrain", "epochs=1", "batch_size=20"]
    assert run(task, *QUICK, *args, "--seed", "4") == 0
    assert written(task) == [
        "report.html",
        "report.json",
        "report.txt",
        "retrained.keras",
        "unlearned.keras",
    ]
    report = AuditReport.load(task / "out" / "report.json")
    assert report.original == "original"
    assert report.references == ("other", "retrained")
    assert [row.name for row in report.rows] == ["original", "finetune", "other", "retrained"]
    assert report.average_gap("finetune") is not None
    assert "seed 4; retrained with epochs=1, batch_size=20, seed 5" in report.notes[-1]
    assert "No reference" not in capsys.readouterr().out
    # a reference that is given stays where it is
    again = ["--reference", str(task / "out" / "retrained.keras")]
    assert run(task, *QUICK, *again) == 0
    assert "retrained.keras" in written(task)
    # an earlier reference goes when another model takes its place
    assert run(task, *QUICK) == 0
    assert written(task) == ALONE


def test_the_readmes_command_runs(task, monkeypatch):
    readme = pathlib.Path(__file__).parents[2] / "README.md"
    text = readme.read_text(encoding="utf-8").replace("\\\n", " ")
    (line,) = (line for line in text.split("\n") if line.startswith("    tfunlearn unlearn "))
    monkeypatch.chdir(task)
    assert cli.main(shlex.split(line)[1:]) == 0
    report = AuditReport.load(task / "unlearned" / "report.json")
    assert report.references == ("retrained",)


def test_references_of_one_name_are_told_apart(task):
    for seed, folder in enumerate(("a", "b"), start=1):
        (task / folder).mkdir()
        _save_model(task, name=f"{folder}/original.keras", seed=seed)
    paths = [str(task / folder / "original.keras") for folder in ("a", "b")]
    args = [part for path in paths for part in ("--reference", path)]
    assert run(task, *QUICK, *args) == 0
    report = AuditReport.load(task / "out" / "report.json")
    assert report.references == ("original'", "original''")


def test_the_command_is_the_method(task):
    assert run(task, *QUICK, "--seed", "3") == 0
    original = load_model(task / "model.keras")
    split = make_split(task / "data.npz", original, forget=task / "ids.txt")
    assert isinstance(split, ForgetSplit)
    assert split.ids["forget"].tolist() == [3, 7, 11, *range(20, 32)]
    here = methods.finetune(original, split, epochs=1, batch_size=20, seed=3)
    there = load_model(task / "out" / "unlearned.keras")
    for left, right in zip(here.get_weights(), there.get_weights(), strict=True):
        assert left.tobytes() == right.tobytes()


def test_whole_classes(task):
    assert run(task, *QUICK, forget=("--class", "2", "0")) == 0
    report = json.loads((task / "out" / "report.json").read_text())
    assert report["split"]["sizes"] == {"forget": 40, "retain": 20, "test": 30}
    assert report["split"]["kind"] == "class"


def test_a_method_without_training(task):
    args = ["--set", "l2=0.05", "stddev=0.5"]
    assert run(task, *args, "--seed", "987654321", method="certified_last_layer") == 0
    report = (task / "out" / "report.txt").read_text()
    assert "l2=0.05, stddev=0.5, seed not shown" in report
    assert "987654321" not in report


def test_optimizer_and_loss_of_a_model_that_is_not_compiled(task, capsys):
    _save_model(task, compiled=False)
    assert run(task, *QUICK) == 1
    assert "loss: the model is not compiled" in capsys.readouterr().err
    given = ["--set", "optimizer=adam", "loss=sparse_categorical_crossentropy"]
    assert run(task, *QUICK, *given) == 0
    assert not load_model(task / "out" / "unlearned.keras").compiled


def _needs_validation(model, split, *, seed=0, batch_size=128, jit_compile="auto", verbose=0):
    """Reads validation."""
    assert split.size("validation") == 6
    assert split.size("test") == 24
    return methods.finetune(model, split, epochs=1)


def _whole_class(model, split, *, seed=0, batch_size=128, jit_compile="auto", verbose=0):
    """Forgets classes."""
    return methods.finetune(model, split, epochs=1)


@pytest.fixture
def own_methods(monkeypatch):
    own = (
        Method(_needs_validation, frozenset({"retain", "validation"}), "both", "1"),
        Method(_whole_class, frozenset({"retain"}), "class", "1"),
    )
    monkeypatch.setattr(methods, "_TABLE", {**methods._TABLE, **{m.name: m for m in own}})


def test_validation_is_set_apart_from_test(task, own_methods, capsys):
    assert run(task, method="_needs_validation") == 1
    assert "_needs_validation reads a validation role. Expected: --validation SHARE" in (
        capsys.readouterr().err
    )
    assert run(task, "--validation", "0.2", method="_needs_validation") == 0
    split = make_split(
        task / "data.npz", load_model(task / "model.keras"), classes=[1], validation=0.2, seed=3
    )
    together = np.concatenate([split.validation[0], split.test[0]])
    assert len(np.unique(together.reshape(30, -1), axis=0)) == 30
    assert run(task, "--validation", "0.001", method="_needs_validation") == 1
    assert "validation: expected a share that leaves examples on both" in capsys.readouterr().err


def test_methods_for_classes_want_whole_ones(task, own_methods, capsys):
    assert run(task, method="_whole_class") == 1
    assert (
        "method: _whole_class forgets whole classes. Expected: --class" in capsys.readouterr().err
    )
    (task / "ids.txt").write_text("\n".join(map(str, range(1, COUNT, CLASSES))))
    assert run(task, method="_whole_class") == 0
    assert run(task, method="_whole_class", forget=("--class", "1")) == 0


def _text(name, text):
    return lambda task: (task / name).write_text(text)


def _bytes(name, keep=0.5):
    def cut(task):
        whole = (task / name).read_bytes()
        (task / name).write_bytes(whole[: int(keep * len(whole))])

    return cut


def _model(build, **options):
    return lambda task: _save_model(task, build, **options)


def _data(**changes):
    return lambda task: _save_data(task, **changes)


def _unregistered():
    model = Unregistered()
    model(np.zeros((1, 4, 4, 1), "float32"))
    return model


def _own_loss(y_true, y_pred):
    return keras.ops.mean(y_pred, -1)


NOT_FINITE = np.full((COUNT, 4, 4, 1), np.nan, "float32")
HALVES = np.full((COUNT, CLASSES), 0.5)
BAD = {  # what to spoil, more arguments, exit status, words
    "model of text": (_text("model.keras", "hello"), [], 1, "expected: a whole .keras file"),
    "model cut off": (_bytes("model.keras"), [], 1, "model.keras' cannot be used"),
    "model with code": (
        _model(lambda: _sequential(L.Lambda(lambda x: x * 2))),
        [],
        1,
        "holds python code (a lambda layer), which safe mode does not run",
    ),
    "model of an unknown class": (
        _model(_unregistered),
        [],
        1,
        "class 'unregistered' of your own, and a command loads no code. expected: layers, losses "
        "and metrics of keras. in python: define or import it, decorated with @keras.saving",
    ),
    "model with an unknown loss": (_model(_sequential, loss=_own_loss), [], 1, "'_own_loss' of"),
    "model with a sigmoid head": (
        _model(lambda: _sequential(head="sigmoid")),
        [],
        1,
        "model: its logits cannot be read",
    ),
    "model for other images": (
        _model(lambda: keras.Sequential([keras.Input((5,)), L.Dense(CLASSES)])),
        [],
        1,
        "split: its inputs must have the shape that the model takes. expected: (5,)",
    ),
    "model with fewer classes": (
        _model(lambda: keras.Sequential([keras.Input((4, 4, 1)), L.Flatten(), L.Dense(2)])),
        [],
        1,
        "y: class ids must be below num_classes. expected: at most 1. received: 2",
    ),
    "data cut off": (_bytes("data.npz"), [], 1, "data.npz' cannot be used"),
    "data with objects": (
        _data(y_train=np.array([None] * COUNT, object)),
        [],
        1,
        "none of them pickled",
    ),
    "data with soft labels": (_data(y_train=HALVES), [], 1, "y_train must hold one integer label"),
    "data with NaN": (_data(x_train=NOT_FINITE), [], 1, "x: the retain set holds nan"),
    "ids of words": (_text("ids.txt", "1\ntwo\n"), [], 1, "received on line 2: 'two'"),
    "ids below zero": (_text("ids.txt", "-1\n"), [], 1, "received on line 1: '-1'"),
    "ids with commas": (_text("ids.txt", "1,2\n"), [], 1, "received on line 1: '1,2'"),
    "ids in other digits": (_text("ids.txt", "²\n"), [], 1, "received on line 1"),
    "no ids": (_text("ids.txt", "\n"), [], 1, "forget: expected at least one id"),
    "ids out of range": (_text("ids.txt", "60\n"), [], 1, "expected: 0 to 59. received: 60"),
    "ids twice": (_text("ids.txt", "5\n5\n"), [], 1, "expected every id once"),
    "all ids": (_text("ids.txt", "\n".join(map(str, range(60)))), [], 1, "at least one example"),
    "ids not text": (lambda task: (task / "ids.txt").write_bytes(b"\xff\xfe1"), [], 1, "not a te"),
    "no epochs": (None, ["--set", "epochs=0"], 1, "epochs: expected a whole number of at least 1"),
    "no learning": (
        None,
        ["--set", 'optimizer={"class_name": "SGD", "config": {"learning_rate": 0.0}}'],
        1,
        "changed none",
    ),
    "unknown option": (None, ["--set", "rounds=3"], 2, "finetune does not take 'rounds'"),
    "value of another kind": (None, ["--set", "epochs=two"], 2, "epochs takes int"),
    "unknown method": (None, ["--method", "erase"], 2, "method: expected one of retrain"),
    "retrain without epochs": (None, ["--retrain", "batch_size=5"], 2, "expected epochs=n"),
    "retrain with an unknown option": (None, ["--retrain", "epoch=5"], 2, "--retrain: retrain doe"),
    "ids and classes": (None, ["--class", "1"], 2, "not allowed with argument --forget"),
    "no such file": (None, ["--model", "nowhere.keras"], 2, "--model: expected an existing file"),
    "no such reference": (None, ["--reference", "r.keras"], 2, "expected an existing file"),
    "no share": (None, ["--validation", "1"], 2, "--validation: expected a share inside (0, 1)"),
    "a reference of text": (
        _text("r.keras", "hello"),
        ["--reference", "r.keras"],
        1,
        "reference: ",
    ),
    "a reference with more classes": (
        _model(
            lambda: keras.Sequential([keras.Input((4, 4, 1)), L.Flatten(), L.Dense(9)]),
            name="r.keras",
        ),
        ["--reference", "r.keras"],
        1,
        "another number of classes than the original. expected: 3. received: 9",
    ),
}


@pytest.mark.parametrize(("spoil", "args", "status", "words"), BAD.values(), ids=BAD)
def test_bad_input_is_one_line_and_leaves_nothing(
    spoil, args, status, words, task, capsys, monkeypatch
):
    monkeypatch.chdir(task)
    if spoil is not None:
        spoil(task)
    capsys.readouterr()
    before = {path.name: path.read_bytes() for path in task.iterdir() if path.is_file()}
    assert run(task, *args) == status
    err = capsys.readouterr().err
    assert err.startswith("tfunlearn: error: ")
    assert err.count("\n") == 1
    assert words in err.lower()
    assert not (task / "out").exists() or written(task) == []
    assert before == {path.name: path.read_bytes() for path in task.iterdir() if path.is_file()}


def test_classes_that_do_not_occur(task, capsys):
    assert run(task, forget=("--class", "1", "7")) == 1
    assert "classes: expected classes that occur in y" in capsys.readouterr().err


def test_another_kind_of_model_file(task):
    with pytest.raises(FileNotFoundError, match=r"model: expected a file.*not there"):
        load_model(task / "nothing.keras")
    (task / "model.h5").write_bytes((task / "model.keras").read_bytes())
    with pytest.raises(ValueError, match=r"model: .*model\.h5' cannot be used.*\.keras file"):
        load_model(task / "model.h5")
    keras.saving.save_model(_sequential(), task / "m.keras")
    with pytest.raises(FileNotFoundError, match=r"forget: expected a file"):
        read_ids(task / "nothing.txt")


@pytest.mark.parametrize("moment", ["unlearning", "saving", "retraining", "reporting"])
def test_an_interrupt_leaves_the_files_of_the_earlier_run(moment, task, monkeypatch, capsys):
    names = ("report.html", "report.json", "report.txt", "retrained.keras", "unlearned.keras")
    old = dict.fromkeys(names, "old")
    with output(task / "out", "unlearn", names) as results:
        for name in names:
            results.path(name).write_text("old")
    timed = command._timed

    def stop(*args, **options):
        raise KeyboardInterrupt

    def stop_retraining(method, *args):
        return timed(method, *args) if method == "finetune" else stop()

    def half(model, path, **options):
        pathlib.Path(path).write_bytes(b"half a model")
        raise KeyboardInterrupt

    parts = {
        "unlearning": (command, "_timed", stop),
        "saving": (keras.Model, "save", half),
        "retraining": (command, "_timed", stop_retraining),
        "reporting": (command, "write_report", stop),
    }
    monkeypatch.setattr(*parts[moment])
    assert run(task, *QUICK, "--retrain", "epochs=1", "batch_size=20") == 130
    assert "interrupted" in capsys.readouterr().err
    assert old == {name: (task / "out" / name).read_text() for name in written(task)}
    assert sorted(os.listdir(task / "out" / ".tfunlearn")) == ["lock", "manifest.json"]


@pytest.mark.slow
def test_ctrl_c_in_a_process_of_its_own(task, press_ctrl_c):
    files = ["--model", "model.keras", "--data", "data.npz", "--class", "1", "--out", "out"]
    method = ["--method", "finetune", "--set", "epochs=100000"]
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "tfunlearn.cli", "unlearn", *files, *method],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=task,
        # also where the tests run in the background of a shell, which ignores it
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    for line in process.stdout:
        if line.startswith("Forgotten share"):
            break
    err = press_ctrl_c(process)
    assert process.returncode == 130
    assert err == "tfunlearn: error: interrupted; unlearn begins anew when it is run again\n"
    assert written(task) == []


def test_the_note_of_retraining_says_its_rate(task):
    again = ["--set", "epochs=1", "--retrain", "epochs=1", "optimizer=sgd"]
    assert run(task, *again, method="retrain") == 0
    [note] = [n for n in AuditReport.load(task / "out" / "report.json").notes if "Made by" in n]
    assert "seed 0, learning rate 0.1 from the model's saved optimizer" in note
    assert "seed 1, learning rate 0.01 from optimizer=" in note


def test_in_python_an_unknown_option_is_an_error(task):
    files = (task / "model.keras", task / "data.npz", task / "out")
    options = {"epochs": 1, "rounds": 3}
    with pytest.raises(ValueError, match="rounds: finetune does not take it"):
        unlearn_file(*files, method="finetune", classes=[1], options=options, say=None)
    assert written(task) == []


def test_in_python_it_is_silent_if_asked(task, capsys):
    found = unlearn_file(
        task / "model.keras",
        task / "data.npz",
        task / "out",
        method="finetune",
        classes=[1],
        options={"epochs": 1},
        say=None,
    )
    assert [row.name for row in found.rows] == ["original", "finetune"]
    assert found.reference_count == 0
    assert capsys.readouterr().out == ""
