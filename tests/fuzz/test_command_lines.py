"""Command lines: parsed, or a ValueError of one line; no other exception, whatever is typed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfunlearn import methods
from tfunlearn.commands import compare, line
from tfunlearn.experiments import settings
from tfunlearn.experiments.cifar10_confuser import parse_row

from .mutations import outcome

ODD = st.sampled_from(
    (
        *("", " ", "-", "--", "=", "=3", "x", "~nouser/x", "a" * 300, "a\0b", "caf\udce9", "nan"),
        *("-1", "0", "3", "1.5", "9" * 5000, "9" * 20, "２", "1_0", "true", "...", "1j", "b'x'"),
        *("(" * 300, "[" * 100_000, "-" * 5000 + "1", "{[]: 1}", "{'a': 1, 'a': 2}", "'\\d'"),
        *('{"a": NaN}', "Infinity", "(1, [2, {3: None}])", "f'{x}'", "lambda: 0", "0x" + "f" * 99),
        *("[[[1]]]" * 9, "'" * 3, "1e400", "-9223372036854775809", "\u2028", "$(x)", "%s", "{}"),
        *("1e999", "{1}", "1if"),
    )
)
TEXTS = ODD | st.text(max_size=12)
WORDS = st.sampled_from(
    (
        *("demo", "unlearn", "audit", "methods", "compare", "bank", "run", "mnist-retrain"),
        *("--help", "--model", "--data", "--forget", "--class", "--set", "--retrain", "--out"),
        *("--seed", "--epochs", "--models", "--level", "--task", "--rows", "--limit", "--bank"),
        *("--data-dir", "--searched", "--forget-fraction", "--validation", "--batch-size"),
        *("--images", "--workers", "--class-weight", "--initial", "--force"),
    )
)


@given(st.lists(WORDS | TEXTS, max_size=8))
def test_arguments(args):
    found, error = outcome(line.parser().parse_args, args, errors=(ValueError, SystemExit))
    assert str(error) if error else callable(found.call)


OPTIONS = [(name, option) for name in methods.names() for option in methods.describe(name).options]


@given(st.sampled_from(OPTIONS), TEXTS)
def test_settings(option, text):
    name, key = option
    found, error = outcome(settings.parse, name, [f"{key}={text}"])
    if error:
        assert str(error).startswith("--set: ")
        assert len(str(error)) < 2000
    else:
        assert list(found) == [key]
        assert eval(repr(found), {}) == found  # plain values, none of them NaN


@given(st.lists(TEXTS, max_size=3))
def test_settings_of_several_methods(texts):
    found, error = outcome(compare.parse_settings, texts)
    assert str(error) if error else isinstance(found, dict)


@pytest.mark.parametrize(
    "value",
    [
        *("9" * 5000, "9" * 20, "1e999", "NaN", "nan", "1j", "b'x'", "{1}", "...", "[" * 100_000),
        *("[" * 100 + "]" * 100, "-" * 5000 + "1", "{[]: 1}", r"'\ud800'"),
    ],
    ids=range(14),
)
def test_no_value_of_an_option(value):
    with pytest.raises(ValueError, match=r"^--set: expected a value that is a number") as caught:
        settings.parse("vision_confuser", [f"optimizer={value}"])
    assert len(str(caught.value)) < 600


@given(st.sampled_from(["finetune", "confuser-stem", "x", ""]), st.sampled_from(["@", ""]), TEXTS)
def test_rows_of_a_run(name, at, text):
    found, error = outcome(parse_row, name + at + text, 2)
    assert str(error).startswith("rows: ") if error else found[1] >= 1
