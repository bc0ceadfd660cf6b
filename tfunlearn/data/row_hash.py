"""A number for each row of an array, equal for equal bytes."""

import hashlib
import math

import numpy as np

_BLOCK = 2**18  # bytes of rows that are read at once, less than a processor's cache holds


def row_hashes(x: np.ndarray) -> np.ndarray:
    """Returns a uint64 for each row, in one pass over the bytes.

    Rows of equal bytes have equal numbers; so 0.0 and -0.0 differ, and NaNs of the same bits do
    not. Others seldom share one, which whoever needs to know looks up.

    Args:
        x: rows, ``(N, ...)``, of any type that holds no objects.

    Example:
        >>> import numpy as np
        >>> from tfunlearn.data.row_hash import row_hashes
        >>> first, second, third = row_hashes(np.array([[1, 2], [3, 4], [1, 2]]))
        >>> bool(first == third), bool(first == second)
        (True, False)
    """
    size = x.dtype.itemsize * math.prod(x.shape[1:])
    words = -(-size // 8)
    weights = np.random.default_rng(0).integers(2**63, size=words, dtype=np.uint64) * 2 + 1
    step = max(1, _BLOCK // max(1, size))
    room = np.zeros((step, words * 8), np.uint8) if size % 8 else None
    found = np.zeros(len(x), np.uint64)
    for start in range(0, len(x), step):
        block = as_bytes(x[start : start + step])
        if room is not None:
            room[: len(block), :size] = block
            block = room[: len(block)]
        values = block.view(np.uint64)
        values = values ^ (values >> np.uint64(32))  # floats may differ in their upper bits alone
        np.einsum("ij,j->i", values, weights, out=found[start : start + len(block)])
    return found


def as_bytes(rows: np.ndarray) -> np.ndarray:
    """Returns rows as uint8 of shape ``(N, bytes)``.

    Args:
        rows: the rows, ``(N, ...)``.
    """
    flat = np.ascontiguousarray(rows).reshape(len(rows), math.prod(rows.shape[1:]))
    return np.asarray(flat).view(np.uint8)


def keys(x: np.ndarray, some: np.ndarray) -> np.ndarray:
    """Returns a uint64 for each row, equal to that of one of some rows for equal bytes alone.

    Args:
        x: as in ``row_hashes``.
        some: positions of the rows that others are to be told from.
    """
    found = row_hashes(x)
    others = np.ones(len(x), bool)
    others[some] = False
    suspects = np.flatnonzero(np.isin(found, found[some]) & others)
    twins = some[np.isin(found[some], found[suspects])]
    for row in (*suspects, *twins):
        digest = hashlib.blake2b(as_bytes(x[row : row + 1]), digest_size=8).digest()
        found[row] = int.from_bytes(digest, "little")
    return found
