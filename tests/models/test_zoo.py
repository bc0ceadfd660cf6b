import keras
import numpy as np
import pytest

from tfunlearn import models
from tfunlearn.models import iter_layers, mnist_dense, resnet50_classifier, small_cnn

L = keras.layers


def bytes_of(model):
    return [weight.tobytes() for weight in model.get_weights()]


def of_kind(model, kind):
    return [layer for layer in iter_layers(model) if isinstance(layer, kind)]


# mnist_dense


def test_mnist_dense_architecture():
    model = mnist_dense()
    assert model.count_params() == 784 * 256 + 256 + 256 * 128 + 128 + 128 * 64 + 64 + 64 * 10 + 10
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds == ["Dense", "Dropout", "Dense", "Dropout", "Dense", "Dense"]
    assert [d.units for d in of_kind(model, L.Dense)] == [256, 128, 64, 10]
    assert [d.activation.__name__ for d in of_kind(model, L.Dense)] == ["relu"] * 3 + ["linear"]
    assert [d.rate for d in of_kind(model, L.Dropout)] == [0.3, 0.3]
    assert (model.input_shape, model.output_shape) == ((None, 784), (None, 10))
    assert not model.compiled


def test_mnist_dense_sizes():
    model = mnist_dense(64, 4, 0.1)
    assert (model.input_shape, model.output_shape) == ((None, 64), (None, 4))
    assert [layer.rate for layer in of_kind(model, L.Dropout)] == [0.1, 0.1]


def test_torch_initialisation_is_uniform_within_one_over_root_fan_in():
    model = mnist_dense(init="torch", seed=0)
    for layer, fan_in in zip(of_kind(model, L.Dense), (784, 256, 128, 64), strict=True):
        bound = fan_in**-0.5
        for weight in layer.get_weights():
            assert np.abs(weight).max() <= bound
        kernel, bias = layer.get_weights()
        assert np.abs(kernel).max() > 0.98 * bound
        assert kernel.std() == pytest.approx(bound / 3**0.5, rel=0.06)
        assert abs(kernel.mean()) < 0.1 * bound
        assert np.abs(bias).max() > 0.5 * bound
        assert bias.std() == pytest.approx(bound / 3**0.5, rel=0.5)


def test_keras_initialisation_is_glorot_with_zero_biases():
    model = mnist_dense(seed=0)
    sizes = [(784, 256), (256, 128), (128, 64), (64, 10)]
    for layer, (fan_in, fan_out) in zip(of_kind(model, L.Dense), sizes, strict=True):
        kernel, bias = layer.get_weights()
        bound = (6 / (fan_in + fan_out)) ** 0.5
        assert 0.95 * bound < np.abs(kernel).max() <= bound
        assert not bias.any()


@pytest.mark.parametrize("init", ["keras", "torch"])
def test_mnist_dense_seeds(init):
    one, again, other = (mnist_dense(20, init=init, seed=seed) for seed in (1, 1, 2))
    assert bytes_of(one) == bytes_of(again)
    assert bytes_of(one)[0] != bytes_of(other)[0]
    kernels = [layer.get_weights()[0].ravel()[:5] for layer in of_kind(one, L.Dense)]
    assert len({kernel.tobytes() for kernel in kernels}) == 4
    assert bytes_of(mnist_dense(20))[0] != bytes_of(mnist_dense(20))[0]


def test_unknown_initialisation():
    with pytest.raises(ValueError, match=r"init: expected 'keras' or 'torch'.*'he'"):
        mnist_dense(init="he")


def test_torch_initialisation_survives_a_copy_and_a_new_draw():
    fresh = models.reinitialized(mnist_dense(20, init="torch", seed=0), seed=3)
    kernel, bias = fresh.layers[0].get_weights()
    assert np.abs(kernel).max() <= 20**-0.5
    assert np.abs(bias).max() > 0


# small_cnn


def test_small_cnn_architecture():
    model = small_cnn()
    convolutions = of_kind(model, L.Conv2D)
    assert [layer.filters for layer in convolutions] == [8, 16, 16]
    assert convolutions[0].name == "stem"
    assert len(of_kind(model, L.BatchNormalization)) == 3
    body = model.get_layer("body")
    assert isinstance(body, keras.Model)
    assert model.get_layer("head").activation is keras.activations.linear
    kernels = 9 * (1 * 8 + 8 * 16 + 16 * 16)
    assert model.count_params() == kernels + 4 * (8 + 16 + 16) + 16 * 10 + 10
    assert (model.input_shape, model.output_shape) == ((None, 8, 8, 1), (None, 10))
    assert not model.compiled


def test_small_cnn_sizes_and_seeds():
    model = small_cnn((12, 10, 3), 5, filters=4, seed=1)
    assert (model.input_shape, model.output_shape) == ((None, 12, 10, 3), (None, 5))
    assert [layer.filters for layer in of_kind(model, L.Conv2D)] == [4, 8, 8]
    assert bytes_of(small_cnn(seed=1)) == bytes_of(small_cnn(seed=1))
    assert bytes_of(small_cnn(seed=1))[0] != bytes_of(small_cnn(seed=2))[0]


# resnet50_classifier


@pytest.fixture(scope="module")
def resnet():
    return resnet50_classifier(weights=None, seed=0)


def test_a_walk_finds_the_53_convolutions_that_a_loop_does_not(resnet):
    assert len(of_kind(resnet, L.Conv2D)) == 53
    assert len([layer for layer in resnet.layers if isinstance(layer, L.Conv2D)]) == 0
    assert len({id(layer) for layer in iter_layers(resnet)}) == len(list(iter_layers(resnet)))


def test_resnet_architecture(resnet):
    kinds = [type(layer).__name__ for layer in resnet.layers]
    assert kinds == ["Functional", "GlobalAveragePooling2D", "Dense", "Dense"]
    assert [layer.units for layer in resnet.layers[2:]] == [128, 10]
    assert [layer.activation.__name__ for layer in resnet.layers[2:]] == ["relu", "softmax"]
    # Keras documents 23,587,712 parameters for ResNet50 without its top
    assert resnet.count_params() == 23_587_712 + 2048 * 128 + 128 + 128 * 10 + 10
    assert resnet.input_shape == (None, 32, 32, 3)


def test_resnet_is_compiled_as_in_the_notebook(resnet):
    assert type(resnet.optimizer) is keras.optimizers.Adam
    assert float(resnet.optimizer.learning_rate) == pytest.approx(1e-3)
    assert type(resnet.loss) is keras.losses.SparseCategoricalCrossentropy
    assert not resnet.loss.from_logits
    assert resnet.get_compile_config()["metrics"] == ["accuracy"]


@pytest.fixture
def tiny_backbone(monkeypatch):
    """Stands in for ResNet50, and records what it was asked for."""
    asked = []

    def build(**kwargs):
        asked.append(kwargs)
        return keras.Sequential([keras.Input(kwargs["input_shape"]), L.Conv2D(4, 3)])

    monkeypatch.setattr(keras.applications, "ResNet50", build)
    return asked


@pytest.mark.parametrize("jit_compile", [True, False])
def test_jit_compile_is_passed_through(tiny_backbone, jit_compile):
    model = resnet50_classifier(weights=None, jit_compile=jit_compile)
    assert model.jit_compile is jit_compile
    assert model.get_compile_config()["jit_compile"] is jit_compile


def test_jit_compile_is_left_to_keras_by_default(tiny_backbone):
    plain = keras.Sequential([keras.Input((3,)), L.Dense(2)])
    plain.compile("adam", "mse")
    assert resnet50_classifier(weights=None).jit_compile == plain.jit_compile


def test_logits_head(tiny_backbone):
    model = resnet50_classifier(7, (40, 36, 3), None, dense=5, softmax=False)
    assert model.loss.from_logits
    assert model.layers[-1].activation is keras.activations.linear
    assert [layer.units for layer in of_kind(model, L.Dense)] == [5, 7]
    assert tiny_backbone == [{"weights": None, "include_top": False, "input_shape": (40, 36, 3)}]
    assert models.gives_logits(model)
    assert not models.gives_logits(resnet50_classifier(weights=None))


def test_imagenet_is_asked_of_keras(tiny_backbone):
    resnet50_classifier()
    assert tiny_backbone[0]["weights"] == "imagenet"


def test_resnet_head_follows_the_seed(tiny_backbone):
    one, again, other = (resnet50_classifier(weights=None, seed=seed) for seed in (1, 1, 2))
    assert bytes_of(one) == bytes_of(again)
    assert bytes_of(one)[-2] != bytes_of(other)[-2]


def test_resnet_learns(tiny_backbone):
    model = resnet50_classifier(weights=None, seed=0)
    images = np.zeros((20, 32, 32, 3), "float32")
    images[10:] = 1.0
    labels = np.repeat([0, 1], 10)
    history = model.fit(images, labels, epochs=3, verbose=0).history
    assert history["loss"][0] > history["loss"][1] > history["loss"][2]
    assert set(history) == {"loss", "accuracy"}
    loss, accuracy = model.evaluate(images, labels, verbose=0)
    given = model.predict(images, verbose=0)
    np.testing.assert_allclose(loss, -np.log(given[range(20), labels]).mean(), rtol=1e-5)
    assert accuracy == pytest.approx((given.argmax(-1) == labels).mean())


def test_missing_weight_file(tiny_backbone, tmp_path):
    for missing in (tmp_path / "gone.h5", tmp_path):
        with pytest.raises(FileNotFoundError, match=r"weights: expected 'imagenet', None or") as e:
            resnet50_classifier(weights=missing)
        assert str(missing) in str(e.value)
    assert tiny_backbone == []


@pytest.mark.data
def test_weights_of_a_file_are_loaded(data_file):
    path = data_file("resnet50_notop.h5")
    h5py = pytest.importorskip("h5py")
    with h5py.File(path) as file:
        group = file.get("model_weights", file)
        stored = group["conv1_conv"]["conv1_conv"]["kernel:0"][:]
    model = resnet50_classifier(weights=path)
    received = of_kind(model, L.Conv2D)[0].get_weights()[0]
    np.testing.assert_array_equal(received, stored)


def test_small_cnn_may_stride_and_have_a_hidden_layer():
    net = models.small_cnn((9, 7, 3), 4, filters=2, strides=2, dense=5, seed=0)
    assert net.get_layer("stem").output.shape == (None, 5, 4, 2)
    assert net.get_layer("body").output_shape == (None, 3, 2, 4)
    assert net.get_layer("hidden").get_weights()[0].shape == (3 * 2 * 4, 5)
    assert net.get_layer("hidden").activation is keras.activations.relu
    assert net(np.zeros((2, 9, 7, 3), "float32")).shape == (2, 4)
    with pytest.raises(ValueError, match="hidden"):
        models.small_cnn().get_layer("hidden")
