"""Methods that change the learning rate themselves start from a number, whatever the model has."""

import keras
import numpy as np
import pytest

from tfunlearn import methods
from tfunlearn.methods.rates import constant_rate, rate_of

METHODS = [methods.ct, methods.msg, methods.negmerge, methods.rni]
SCHEDULE = keras.optimizers.schedules.CosineDecay(0.5, decay_steps=2)  # over and at 0 when trained


def test_own_and_given(net):
    assert constant_rate(net) == pytest.approx(0.1)
    assert constant_rate(net, scale=3.0) == pytest.approx(0.3)
    assert constant_rate(net, None, 0.7, scale=3.0) == 0.7
    assert constant_rate(net, "sgd") is None
    assert rate_of(net.optimizer) == pytest.approx(0.1)


@pytest.mark.parametrize("method", METHODS)
def test_a_schedule_of_the_models_own_gives_its_first_rate(net, split, method):
    net.compile(keras.optimizers.SGD(SCHEDULE), net.loss)
    net.fit(*split.retain, epochs=3, verbose=0)
    assert rate_of(net.optimizer) == 0
    assert constant_rate(net) == pytest.approx(0.5)
    rates = []
    look = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda *_: rates.append(rate_of(look.model.optimizer))
    )
    result = method(net, split, epochs=1, callbacks=[look])
    assert max(rates) == pytest.approx(1.5 if method is methods.msg else 0.5)
    assert result.optimizer.get_config() == net.optimizer.get_config()


@pytest.mark.parametrize("begins", [0.0, 1e-9])
def test_a_schedule_that_warms_up_gives_the_rate_that_it_warms_up_to(net, split, begins):
    warm = keras.optimizers.schedules.CosineDecay(begins, 9, warmup_target=0.5, warmup_steps=4)
    sgd = keras.optimizers.SGD(warm)
    for optimizer in (keras.optimizers.LossScaleOptimizer(sgd), sgd):
        net.compile(optimizer, net.loss)
        assert constant_rate(net, scale=0.1) == pytest.approx(0.05)
    result = methods.scrub(net, split, epochs=1)
    assert not np.array_equal(result.get_weights()[0], net.get_weights()[0])


@pytest.mark.parametrize("method", METHODS)
def test_a_schedule_that_is_given_is_refused(net, split, method):
    with pytest.raises(ValueError, match=r"optimizer: .*constant learning rate.*CosineDecay"):
        method(net, split, epochs=1, optimizer=keras.optimizers.SGD(SCHEDULE))


@pytest.mark.parametrize("method", [methods.ct, methods.msg, methods.rni])
def test_both_an_optimizer_and_a_rate_are_refused(net, split, method):
    with pytest.raises(ValueError, match="learning_rate: expected an optimizer or"):
        method(net, split, epochs=1, optimizer="sgd", learning_rate=0.1)
