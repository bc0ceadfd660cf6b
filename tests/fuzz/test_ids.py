"""Files of ids: the ids of their lines, or an error that names argument, file and line."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfunlearn.reading.ids import read_ids

LINES = st.one_of(
    st.integers(-5, 10**20).map(str),
    st.sampled_from(
        ["", " ", " 3\t", "007", "1_0", "+1", "1.0", "\x0b", "1\x0b2", "1\u20282", "1\x852", "²"]
    ),
    st.sampled_from(["\ufeff4", "9" * 18, "9" * 19, "9" * 5000, "0" * 30, "5 6", "5\r6", "nan"]),
    st.text(max_size=5),
)
ENDS = st.sampled_from(["\n", "\r\n", "\r", "\x0b", "\u2028", "\x1c"])


def by_hand(content):
    """Returns the ids of a file, or the number of its first wrong line, or 0 if it has no id."""
    ids = []
    for number, line in enumerate(content.split(b"\n"), start=1):
        line = line.removesuffix(b"\r") if number <= content.count(b"\n") else line
        line = line[3:] if number == 1 and line[:3] == b"\xef\xbb\xbf" else line
        if re.fullmatch(rb"[ \t]*", line.removesuffix(b"\r")):
            continue
        found = re.fullmatch(rb"[ \t]*([0-9]{1,18})[ \t]*\r?", line)
        if not found or len(line) > 190:
            return number
        ids.append(int(found[1]))
    return ids or 0


@given(
    st.one_of(
        st.binary(max_size=40),
        st.lists(st.tuples(LINES, ENDS), max_size=6).map(
            lambda parts: "".join(a + b for a, b in parts).encode()
        ),
    )
)
def test_ids(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "ids.txt"
    path.write_bytes(content)
    expected = by_hand(content)
    if isinstance(expected, list):
        np.testing.assert_array_equal(read_ids(path), expected)
        assert read_ids(path).dtype == np.int64
        return
    with pytest.raises(ValueError, match=re.escape(f"{str(path)!r}")) as caught:
        read_ids(path, "forget")
    assert str(caught.value).startswith("forget: ")
    assert f"line {expected}: " in str(caught.value) or expected == 0


def test_a_line_without_an_end_takes_no_memory(tmp_path):
    path = tmp_path / "ids.txt"
    with open(path, "wb") as file:
        file.truncate(1 << 40)  # a terabyte of nothing
    with pytest.raises(ValueError, match="Received on line 1: "):
        read_ids(path)
