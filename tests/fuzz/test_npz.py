"""Files of arrays: the arrays, or a ValueError that names argument and file."""

import io
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfunlearn.data.datasets import read_npz

from .mutations import damaged, outcome

X, Y = np.arange(48.0).reshape(6, 4, 2), np.arange(6) % 3
ARRAYS = {"x_train": X, "y_train": Y, "x_test": X[:2], "y_test": Y[:2]}


def saved(save, **arrays):
    buffer = io.BytesIO()
    save(buffer, **arrays)
    return buffer.getvalue()


WHOLE = [saved(np.savez, **ARRAYS), saved(np.savez_compressed, **ARRAYS)]


def read(tmp_path_factory, content):
    """Reads a file; returns its arrays, or the error's text, which must be of the agreed form."""
    path = tmp_path_factory.getbasetemp() / "data.npz"
    path.write_bytes(content)
    found, error = outcome(read_npz, path, "data")
    assert error is None or str(error).startswith(f"data: {str(path)!r}")
    return found or str(error)


@given(st.sampled_from(WHOLE).flatmap(damaged))
def test_damaged_files(tmp_path_factory, content):
    found = read(tmp_path_factory, content)
    if isinstance(found, str):
        return
    for x, y in found:
        assert (x.dtype, y.dtype, len(x)) == (X.dtype, np.int64, len(y))


def with_member(content, name="x_train", pack=zipfile.ZIP_DEFLATED):
    """Returns an archive with one array's file replaced."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", pack) as archive:
        for own, array in ARRAYS.items():
            file = io.BytesIO()
            np.save(file, array)
            archive.writestr(f"{own}.npy", content if own == name else file.getvalue())
    return buffer.getvalue()


def member(header, data=b"", version=(1, 0)):
    """Returns an `.npy` file with any header."""
    kind = "<H" if version == (1, 0) else "<I"
    text = header.encode("utf-8", "surrogatepass")[:60000]
    return b"\x93NUMPY" + bytes(version) + struct.pack(kind, len(text)) + text + data


SIZES = st.sampled_from([0, 1, 6, 8, -1, 2**31, 2**62, 2**63, 10**30, True, None, 2.5, "6"])
KINDS = st.sampled_from(
    (
        *("<f8", "|u1", "<i8", "|O", "O", "<U0", "|S0", "<U9", "|V8", "<M8[s]", "f", "<f99", "", 3),
        *(None, [("a", "<f8")], [("a", "|O")], ("<f8", (2, 2)), "<f8,<f8", "<f4", "<c16", ">i2"),
    )
)
ODD = st.sampled_from(
    (
        *("", "{", "(" * 5000, "[" * 90000, "{'descr': " + "-" * 5000 + "1}", "9" * 9000),
        *("\\", "{'shape': (1,)", "{}", "None", "lambda: 0", "\0", "L" * 20, "'" * 3),
    )
)
HEADERS = st.one_of(
    st.builds(
        lambda kind, order, shape: repr({"descr": kind, "fortran_order": order, "shape": shape}),
        KINDS,
        st.sampled_from([True, False, 1, None]),
        st.lists(SIZES, max_size=3).map(tuple) | SIZES,
    ),
    ODD,
    st.text(max_size=30),
)


@given(HEADERS, st.binary(max_size=64), st.sampled_from([(1, 0), (2, 0), (3, 0), (9, 9)]))
def test_headers(tmp_path_factory, header, data, version):
    found = read(tmp_path_factory, with_member(member(header, data, version)))
    assert isinstance(found, str) or found[0][0].nbytes == len(data)


def bomb(size, there, name="x_train"):
    """Returns an archive with an array of zeros, as many as its header says or fewer."""
    shape = {"descr": "|u1", "fortran_order": False, "shape": (size,)}
    header = member(repr(shape).ljust(117) + "\n")
    return with_member(header + bytes(there), name)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(
            lambda: bomb(2 << 28, 2 << 28), "at most 100 times the packed size", id="bomb"
        ),
        pytest.param(lambda: bomb(2 << 40, 99), "whose header says", id="header"),
        pytest.param(lambda: bomb(2 << 28, 2 << 28, "y_test"), "np.savez", id="labels"),
    ],
)
def test_declared_sizes_are_refused_before_memory_is_taken(tmp_path, content, words):
    path = tmp_path / "data.npz"
    path.write_bytes(content())
    tracemalloc.start()
    try:
        _, error = outcome(read_npz, path, "data")
        assert tracemalloc.get_traced_memory()[1] < 5 << 20
    finally:
        tracemalloc.stop()
    assert words in str(error)


def patched(**fields):
    """Returns an archive in whose lists of entries fields of the first are others."""
    content, places = bytearray(WHOLE[1]), {"flags": 8, "method": 10, "packed": 20, "size": 24}
    start = content.index(b"PK\x01\x02")
    for name, value in fields.items():
        kind = "<H" if name in ("flags", "method") else "<I"
        struct.pack_into(kind, content, start + places[name], value)
    return bytes(content)


def twice():
    buffer = io.BytesIO(WHOLE[0])
    with zipfile.ZipFile(buffer, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("y_test.npy", b"another")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (lambda: patched(flags=1), "x_train.npy, which is encrypted"),
        (lambda: patched(method=14), "packed by method 14"),
        (lambda: patched(packed=2**31), "in a file of"),
        (lambda: patched(size=2**31), "at most 100 times"),
        (twice, "'y_test.npy' twice in one archive"),
        (lambda: saved(np.savez, **ARRAYS | {"x_test": np.array([None])}), "plain numbers"),
        (lambda: saved(np.savez, **ARRAYS | {"y_test": np.zeros((0, 0))}), "one integer label"),
        (lambda: b"\x93NUMPY" + b"\0" * 99, "a single array"),
    ],
)
def test_archives(tmp_path, content, words):
    path = tmp_path / "data.npz"
    path.write_bytes(content())
    with pytest.raises(ValueError, match=words):
        read_npz(path)


def test_large_arrays_are_read_where_they_are_not_packed(tmp_path):
    zeros = np.zeros((3, 1 << 20), "u1")
    np.savez(tmp_path / "data.npz", **ARRAYS | {"x_test": zeros[:2]})
    (_, _), (x_test, _) = read_npz(tmp_path / "data.npz")
    np.testing.assert_array_equal(x_test, zeros[:2])
