"""Which data of one's own are images, and that the commands' reports show them."""

import keras
import numpy as np
import pytest

from tfunlearn import cli
from tfunlearn.audit.thumbnail import thumbnail
from tfunlearn.data import ForgetSplit
from tfunlearn.experiments.files import images_of
from tfunlearn.report import AuditReport

COUNT, FORGET = 40, (3, 8, 9, 21, 30, 31)
AGAIN = ("again-1", "again-2", "again-3")
L = keras.layers


def split_of(x):
    return ForgetSplit.by_index(x, np.arange(COUNT) % 2, forget=FORGET, test=(x, np.arange(40) % 2))


@pytest.mark.parametrize("shape", [(5, 6), (5, 6, 1), (5, 6, 3)])
def test_bytes_of_an_image_shape_are_images(shape):
    x = np.random.default_rng(0).integers(0, 256, (COUNT, *shape)).astype("uint8")
    found = images_of(split_of(x))(np.array([9, 3]))
    np.testing.assert_array_equal(found, [x[9], x[3]])


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((30,), "uint8"),
        ((5, 6, 2), "uint8"),
        ((5, 6, 4), "uint8"),
        ((3, 5, 6), "uint8"),
        ((2, 5, 6, 3), "uint8"),
        ((5, 6, 3), "float32"),
        ((5, 6), "int64"),
        ((5, 6), "bool"),
    ],
)
def test_nothing_else_is_guessed_to_be_one(shape, dtype):
    with pytest.raises(ValueError, match=f"no 8-bit images.*Received: {dtype} of shape"):
        images_of(split_of(np.zeros((COUNT, *shape), dtype)))


def test_a_stream_is_not_looked_at():
    tf = pytest.importorskip("tensorflow")
    x, y = np.zeros((COUNT, 5, 6), "uint8"), np.arange(COUNT) % 2
    stream = tf.data.Dataset.from_tensor_slices((x, y))
    with pytest.raises(ValueError, match="Received: a stream"):
        images_of(ForgetSplit.from_dataset(stream, forget=FORGET, test=(x, y)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model and three references, untrained, and images as bytes and as floats."""
    folder, numbers = tmp_path_factory.mktemp("files"), np.random.default_rng(0)
    for seed, name in enumerate(["original", "other", *AGAIN]):
        keras.utils.set_random_seed(seed)
        flat = [keras.Input((5, 6, 3)), L.Rescaling(1 / 255), L.Flatten()]
        model = keras.Sequential([*flat, L.Dense(2)])
        model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        model.save(folder / f"{name}.keras")
    for kind, scale in {"uint8": 256, "float32": 1}.items():
        x, y = (scale * numbers.random((2 * COUNT, 5, 6, 3))).astype(kind), np.arange(80) % 2
        arrays = {"x_train": x[:COUNT], "y_train": y[:COUNT], "x_test": x[COUNT:]}
        np.savez(folder / f"{kind}.npz", **arrays, y_test=y[COUNT:])
    (folder / "ids.txt").write_text("\n".join(map(str, FORGET)))
    return folder


COMMANDS = {
    "audit": ["--original", "original.keras", "--unlearned", "other.keras"],
    "unlearn": ["--model", "original.keras", "--method", "finetune", "--set", "epochs=1"],
}


def call(command, tmp_path, *more, kind="uint8"):
    beside = [part for name in AGAIN for part in ("--reference", f"{name}.keras")]
    data = ["--data", f"{kind}.npz", "--forget", "ids.txt", "--out", str(tmp_path)]
    return cli.main([command, *COMMANDS[command], *data, *beside, *more])


@pytest.mark.parametrize("asked", [True, False])
@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_show_images_if_asked(folder, tmp_path, monkeypatch, command, asked):
    """Not of themselves: a report on a deletion would hold what was to be deleted."""
    monkeypatch.chdir(folder)
    assert call(command, tmp_path, *["--images"] * asked) == 0
    report = AuditReport.load(tmp_path / "report.json")
    x = np.load("uint8.npz")["x_train"]
    assert len(report.evidence) == 2
    for own in report.evidence.values():
        assert sorted(example.id for example in own.worst) == list(FORGET)
        for example in own.worst:
            assert example.image == (thumbnail(x[example.id]) if asked else None)
    assert (tmp_path / "report.html").read_text().count("<img ") == 12 * asked
    if command == "audit":
        assert ("--images" in report.command) == asked


@pytest.mark.parametrize("command", COMMANDS)
def test_images_of_floats_are_refused(folder, tmp_path, monkeypatch, capsys, command):
    monkeypatch.chdir(folder)
    assert call(command, tmp_path, "--images", kind="float32") != 0
    assert "the inputs are no 8-bit images" in capsys.readouterr().err
    assert not (tmp_path / "report.json").exists()
