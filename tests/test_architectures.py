"""Models that nobody here wrote: architectures of keras.applications, with random weights."""

import keras
import numpy as np
import pytest

from tfunlearn import cli, data, methods, models
from tfunlearn.report import AuditReport

A = keras.applications
SHAPE, CLASSES, COUNT = (32, 32, 3), 3, 16
OWN = {"weights": None, "input_shape": SHAPE, "classes": CLASSES}


def _vgg16():
    backbone = A.VGG16(weights=None, include_top=False, pooling="avg", input_shape=SHAPE)
    return keras.Sequential([backbone, keras.layers.Dense(CLASSES)])


BUILD = {
    "MobileNet": lambda: A.MobileNet(alpha=0.25, **OWN),
    "MobileNetV2": lambda: A.MobileNetV2(alpha=0.35, **OWN),
    "MobileNetV3Small": lambda: A.MobileNetV3Small(alpha=0.75, **OWN),
    "EfficientNetB0": lambda: A.EfficientNetB0(**OWN),
    "ResNet50V2": lambda: A.ResNet50V2(**OWN),
    "VGG16": _vgg16,
}


def _build(name):
    keras.utils.set_random_seed(0)
    model = BUILD[name]()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=models.gives_logits(model))
    model.compile(keras.optimizers.SGD(1e-3), loss)
    return model


def _arrays():
    pixels = np.random.default_rng(0).integers(0, 256, (COUNT, *SHAPE)).astype("float32")
    return pixels / 127.5 - 1, np.arange(COUNT) % CLASSES


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in BUILD if name != "MobileNet"])
def test_an_epoch_of_unlearning(name):
    model, (x, y) = _build(name), _arrays()
    before = [weight.tobytes() for weight in model.get_weights()]
    split = data.by_index(x, y, forget=range(8), test=(x, y))
    result = methods.finetune(model, split, epochs=1, batch_size=8)
    assert before == [weight.tobytes() for weight in model.get_weights()]
    assert type(result) is type(model)
    assert 0 < models.weight_distance(model, result) < np.inf


@pytest.mark.slow
def test_through_the_command(tmp_path):
    x, y = _arrays()
    _build("MobileNet").save(tmp_path / "model.keras")
    np.savez(tmp_path / "data.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    (tmp_path / "ids.txt").write_text("\n".join(map(str, range(8))))
    files = [
        f"--{part}={tmp_path / name}"
        for part, name in (
            ("model", "model.keras"),
            ("data", "data.npz"),
            ("forget", "ids.txt"),
            ("out", "out"),
        )
    ]
    args = ["--method", "finetune", "--set", "epochs=1", "batch_size=8"]
    assert cli.main(["unlearn", *files, *args]) == 0
    result = keras.saving.load_model(tmp_path / "out" / "unlearned.keras")
    assert result.output_shape == (None, CLASSES)
    report = AuditReport.load(tmp_path / "out" / "report.json")
    assert report.value("finetune", "weight_distance") > 0
