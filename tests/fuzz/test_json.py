"""JSON: what it says, or a ValueError that names where it came from."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfunlearn.reading import parse_json, read_json_file

from .mutations import damaged, outcome

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=3)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3)
)


@given(VALUES, st.booleans())
def test_values_come_back(value, ascii):
    text = json.dumps(value, ensure_ascii=ascii)
    assert parse_json(text.encode(), "here") == value


@given(VALUES.map(lambda value: json.dumps(value).encode()).flatmap(damaged))
def test_damaged_texts(content):
    found, error = outcome(parse_json, content, "here")
    if error:
        assert str(error).startswith("here: expected JSON. Received ")
    else:
        json.dumps(found, ensure_ascii=False, allow_nan=False).encode()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 100_000, "more than 64 levels"),
        ("[" * 65 + "]" * 65, "more than 64 levels"),
        ('{"a":' * 100_000, "more than 64 levels"),
        ("9" * 5000, "digits"),
        ("18446744073709551616", "beyond 64 bits"),
        ("1e999", "not finite"),
        ("NaN", "NaN, which is no number"),
        ("[-Infinity]", "-Infinity, which is no number"),
        ('{"a": 1, "a": 1}', "the key 'a' twice"),
        (r'["\ud800"]', "half a surrogate pair"),
        (r'{"\ud800": 1}', "half a surrogate pair"),
        (b"\xff\xfe[\0]\0", "no UTF-8"),
        ("[1", "breaks off"),
    ],
    ids=range(13),
)
def test_what_is_refused(text, words):
    with pytest.raises(ValueError, match=r"^here: expected JSON\. Received ") as caught:
        parse_json(text, "here")
    assert words in str(caught.value)


def test_what_is_just_allowed():
    assert parse_json("[" * 64 + "]" * 64, "here") is not None
    assert parse_json(str(2**63 - 1), "here") == 2**63 - 1
    assert math.isfinite(parse_json("1e308", "here"))


def test_a_file_is_named(tmp_path):
    path = tmp_path / "notes.json"
    path.write_text("{")
    with pytest.raises(ValueError, match=r"^searched: '.*notes\.json': expected JSON"):
        read_json_file(path, "searched")
    with pytest.raises(FileNotFoundError, match=r"^searched: expected a file"):
        read_json_file(tmp_path, "searched")
