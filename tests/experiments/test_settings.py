import pytest

from tfunlearn import methods
from tfunlearn.experiments import settings
from tfunlearn.methods import Method


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("epochs=3", 3),
        (" epochs = 3 ", 3),
        ("stddev=1e-3", 1e-3),
        ("stddev=1", 1),
        ("stddev={0: 0.6, 3: 0.005}", {0: 0.6, 3: 0.005}),
        ("relative=false", False),
        ("relative=True", True),
        ("learning_rate=null", None),
        ("learning_rate=None", None),
        ("class_weights=[1, 0.5]", [1, 0.5]),
        ("class_weights=(1, 0.5)", (1, 0.5)),
        ("schedule=cosine", "cosine"),
        ('schedule="cosine"', "cosine"),
        ('layers=["stem", "head"]', ["stem", "head"]),
        ("layers=conv.*|stem", "conv.*|stem"),
        ("jit_compile=auto", "auto"),
        ("jit_compile=true", True),
        ("optimizer=adam", "adam"),
        (
            'optimizer={"class_name": "SGD", "config": {"learning_rate": 0.1}}',
            {"class_name": "SGD", "config": {"learning_rate": 0.1}},
        ),
    ],
)
def test_values(text, value):
    ((key, found),) = settings.parse("vision_confuser", [text]).items()
    assert key == text.split("=")[0].strip()
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["epochs"], "--set: expected key=value. Received: 'epochs'"),
        (["=3"], "--set: expected key=value"),
        (["rounds=3"], "vision_confuser does not take 'rounds'. Expected: some of batch_size,"),
        (["epochs=3", "epochs=4"], "every option once. Received 'epochs' twice"),
        (["epochs=two"], "epochs takes int. Received: 'two', which is str"),
        (["epochs=1.5"], "epochs takes int. Received: '1.5', which is float"),
        (["epochs=true"], "epochs takes int. Received: 'true', which is bool"),
        (["learning_rate=fast"], "learning_rate takes float | None. Received: 'fast'"),
        (["schedule=linear"], "schedule takes Literal"),
        (["relative=1"], "relative takes bool. Received: '1', which is int"),
        (["class_weights=[1, 'a']"], "class_weights takes Sequence[float] | None"),
        (["stddev={0: 0.1, 0: 0.2}"], "a dict with each key once"),
        (["stddev=(1"], "expected a value that is a number, true,"),
        (["stddev=__import__('os')"], "expected a value that is a number"),
        (["schedule=two words"], "with quotes, if it is more than a word"),
        (["stddev="], "expected a value that is a number"),
        (["seed=3"], "seed is not set here. Expected: --seed"),
        (["callbacks=[]"], "callbacks is not set here. Expected: tfunlearn.unlearn in Python"),
    ],
)
def test_other_texts_are_refused(texts, message):
    with pytest.raises(ValueError, match="--set: ") as caught:
        settings.parse("vision_confuser", texts)
    assert message in str(caught.value)


def test_unknown_methods_are_refused():
    with pytest.raises(ValueError, match="method: expected one of retrain, "):
        settings.parse("erase", [])
    with pytest.raises(ValueError, match="method: expected one of retrain, "):
        settings.listing(["erase"])


def test_a_function_cannot_be_given_as_text():
    with pytest.raises(ValueError, match=r"--retrain: initialize takes .*Callable"):
        settings.parse("retrain", ["initialize=draw"], "--retrain")
    assert settings.parse("retrain", ["initialize=null"]) == {"initialize": None}


def test_listing_has_every_option_of_every_method():
    text = settings.listing()
    assert text.startswith(methods.table())
    blocks = {block.split(":")[0]: block for block in text.split("\n\n")[1:]}
    assert list(blocks) == methods.names()
    for name in methods.names():
        method = methods.describe(name)
        assert " ".join(method.summary.split()) in " ".join(blocks[name].split())
        for option in method.options:
            (line,) = (ln for ln in blocks[name].split("\n") if ln.startswith(f"  {option}="))
            assert len(line.split("  ")) > 2, f"{name}: {option} has no meaning"
    assert "  epochs=5 " in blocks["finetune"]
    assert "layers=Conv2D " in blocks["vision_confuser"]


def test_listing_of_one_method():
    text = settings.listing(["finetune"])
    assert text.startswith("finetune: Goes on training the original")
    assert "retrain:" not in text


def _own(model, split, *, seed=0, unannotated=3, pair: "tuple[int, ...]" = (1, 2)):
    """Does nothing.

    Args:
        seed: a seed,
            over two lines.
    """
    return model


def test_methods_of_ones_own(monkeypatch):
    line = Method(_own, frozenset({"retain"}), "both", "nothing")
    monkeypatch.setattr(methods, "_TABLE", {**methods._TABLE, "_own": line})
    assert settings.parse("_own", ["unannotated=x", "pair=(1, 2)"]) == {
        "unannotated": "x",
        "pair": (1, 2),
    }
    assert settings.listing(["_own"]).split("\n")[1:] == [
        "  seed=0         a seed, over two lines.",
        "  unannotated=3",
        "  pair=(1, 2)",
    ]
