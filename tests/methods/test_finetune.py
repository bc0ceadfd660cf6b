"""Fine-tuning against its formula, computed by hand."""

import keras
import numpy as np
import pytest

from tfunlearn import losses, methods, models
from tfunlearn.data import ForgetSplit


@pytest.mark.parametrize("epochs", [1, 3])
def test_equals_the_formula(net, split, by_hand, epochs):
    expected = by_hand(net.get_weights(), 0.1, weight_decay=0.01)
    for _ in range(epochs):
        expected.step(*split.retain)
    result = methods.finetune(net, split, epochs=epochs, batch_size=8)
    expected.agrees(result)
    assert models.weight_distance(net, result) > 0.01


def test_takes_batches_in_the_order_of_the_stream(net, split, by_hand):
    expected = by_hand(net.get_weights(), 0.1, weight_decay=0.01)
    stream = split.dataset("retain", batch_size=3, shuffle=True, seed=7)
    for _ in range(2):
        for x, y in stream.as_numpy_iterator():
            expected.step(x, y)
    expected.agrees(methods.finetune(net, split, epochs=2, batch_size=3, seed=7))


def test_own_optimizer_and_loss(net, split, by_hand):
    weights = [1.0, 0.0, 3.0]
    expected = by_hand(net.get_weights(), 0.3, momentum=0.0)
    expected.step(*split.retain, weights)
    optimizer, loss = (
        keras.optimizers.SGD(0.3),
        losses.WeightedSparseCategoricalCrossentropy(weights),
    )
    result = methods.finetune(net, split, epochs=1, batch_size=8, loss=loss, optimizer=optimizer)
    expected.agrees(result)
    assert not optimizer.built
    assert result.loss == "sparse_categorical_crossentropy"  # the original's again
    assert float(result.optimizer.learning_rate) == pytest.approx(0.1)


def test_own_learning_rate(net, split, by_hand):
    expected = by_hand(net.get_weights(), 0.3, weight_decay=0.01)
    expected.step(*split.retain)
    result = methods.finetune(net, split, epochs=1, batch_size=8, learning_rate=0.3)
    expected.agrees(result)
    assert float(result.optimizer.learning_rate) == pytest.approx(0.1)  # the original's again
    with pytest.raises(ValueError, match="learning_rate: expected an optimizer or a learning rate"):
        methods.finetune(net, split, optimizer="sgd", learning_rate=0.3)


def test_callbacks_see_the_training(net, split):
    seen = []
    look = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(logs))
    methods.finetune(net, split, epochs=2, batch_size=8, callbacks=[look])
    assert [sorted(logs) for logs in seen] == [["accuracy", "loss"]] * 2


def test_forget_examples_have_no_part(net, split):
    x, y = split.source("forget").x, split.source("forget").y
    other = x.copy()
    other[split.ids["forget"]] *= 100
    spoilt = ForgetSplit.by_index(
        other, y, forget=split.ids["forget"], test=split.test, num_classes=split.num_classes
    )
    assert not np.array_equal(spoilt.forget[0], split.forget[0])
    moved = methods.finetune(net, spoilt, epochs=1, batch_size=8)
    calm = methods.finetune(net, split, epochs=1, batch_size=8)
    assert models.weight_distance(moved, calm) == 0


@pytest.mark.parametrize("epochs", [0, -1, 1.5, "2"])
def test_other_epochs_are_refused(net, split, epochs):
    with pytest.raises(ValueError, match="epochs: expected a whole number of at least 1"):
        methods.finetune(net, split, epochs=epochs)


def test_numpy_epochs(net, split):
    one = methods.finetune(net, split, epochs=np.int64(1), batch_size=8)
    assert models.weight_distance(one, methods.finetune(net, split, epochs=1, batch_size=8)) == 0
