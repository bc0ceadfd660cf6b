"""The competition's double thresholds: which gaps between confidences hold a left threshold.

For each of 400 (or, by rounding, 401) right thresholds r there are 400 left ones, 160,000 pairs an
example. The left lists are all but shifted copies of one another, so whole numbers tell which
point follows which value; where a point and a value all but coincide, float64 arithmetic done in
the published order decides.
"""

from __future__ import annotations

import numpy as np

__all__ = ["gaps", "right_thresholds"]

_PER_UNIT = 100
_BUFFER = 2.0
_LEFT = int(np.ceil(2 * _BUFFER * _PER_UNIT))
_NEAR = 1e-8


def right_thresholds(
    low: np.ndarray, high: np.ndarray, width: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the right thresholds: 100 a unit, from low + width - 2 to high + 2.

    Args:
        low: The smallest confidence of the side of less range, float64 of shape (B,).
        high: Its largest, of the same shape.
        width: Its range, high - low, of the same shape.

    Returns:
        The thresholds, float64 of shape (B, R), where a shorter list repeats its last; and how many
        each example has, 400 or 401, of shape (B, 1).

    Example:
        >>> import numpy as np
        >>> right, number = right_thresholds(np.zeros(1), np.ones(1), np.ones(1))
        >>> right[0, [0, -1]], number
        (array([-1.,  3.]), array([[400]]))
    """
    low, high = (low + width - _BUFFER)[:, None], (high + _BUFFER)[:, None]
    number = np.ceil((high - low) * _PER_UNIT).astype(int)
    index = np.arange(number.max())
    points = index * ((high - low) / (number - 1)) + low
    return np.where(index >= number - 1, high, points), number


def gaps(
    values: np.ndarray, right: np.ndarray, number: np.ndarray, width: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Says which gaps between sorted values hold a left threshold, by the place of the right one.

    Args:
        values: Confidences, float64 of shape (B, V), each row sorted.
        right: Right thresholds, float64 of shape (B, R), as `right_thresholds` gives them.
        number: How many each example has, of shape (B, 1).
        width: The range of the side of less range, float64 of shape (B,).

    Returns:
        A row for every example and every place that an r has between its values, sorted by
        example: bool of shape (G, V), where the a-th says that some l of such an r lies above the
        a smallest values and not above the next; the row's example; and how many values lie at or
        below its r. An l above all values encloses nothing and is left out.

    Example:
        >>> import numpy as np
        >>> width = np.ones(1)
        >>> right, number = right_thresholds(np.zeros(1), np.ones(1), width)
        >>> found, example, place = gaps(np.array([[0.0, 0.001, 1.0]]), right, number, width)
        >>> place, found[-1]
        (array([0, 2, 3]), array([ True, False,  True]))
    """
    index = _last_at_or_below(values, right - width[:, None], number)
    found = np.empty(index.shape, dtype=bool)
    np.greater_equal(index[..., 0], 0, out=found[..., 0])
    np.greater(index[..., 1:], index[..., :-1], out=found[..., 1:])
    place = np.stack([np.searchsorted(v, r, "right") for v, r in zip(values, right, strict=True)])
    new = np.ones(place.shape, dtype=bool)
    np.not_equal(place[:, 1:], place[:, :-1], out=new[:, 1:])
    rows = np.flatnonzero(new)
    found = np.logical_or.reduceat(found.reshape(-1, found.shape[2]), rows, axis=0)
    return found, rows // right.shape[1], place.ravel()[rows]


def _last_at_or_below(values: np.ndarray, middle: np.ndarray, number: np.ndarray) -> np.ndarray:
    """Returns the last of the points linspace(middle - 2, middle + 2, 400) up to each value.

    In units of the left step the i-th list begins at i or, with 401 right thresholds, at
    i - i / 400. A value at position x thus follows point floor(x) - i, or from some i on the next.

    Returns:
        Int16 of shape (B, R, V), from -1 (none) to 399.
    """
    start, stop = middle - _BUFFER, middle + _BUFFER
    unit = 2 * _BUFFER / (_LEFT - 1)
    position = np.clip((values - start[:, :1]) / unit, -2.5, 2 * _LEFT + 2.5) + _NEAR
    whole = np.floor(position)
    until = (1 - (position - whole)) * _LEFT
    jump = np.where(number > _LEFT, np.ceil(until), 2 * _LEFT)
    shift = np.minimum(np.arange(start.shape[1]), number - 1).astype(np.int16)[:, :, None]
    index = whole.astype(np.int16)[:, None, :] - shift
    index += shift >= jump.astype(np.int16)[:, None, :]
    example, i, v = _too_near(position - whole, until, number, start.shape[1])
    j = index[example, i, v]
    np.clip(index, -1, _LEFT - 1, out=index)
    inside = (j >= 0) & (j < _LEFT)
    example, i, v, j = example[inside], i[inside], v[inside], j[inside]
    first, last = start[example, i], stop[example, i]
    point = np.where(j == _LEFT - 1, last, j * ((last - first) / (_LEFT - 1)) + first)
    index[example, i, v] = j - (point > values[example, v])
    return index


def _too_near(
    part: np.ndarray, until: np.ndarray, number: np.ndarray, rights: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns example, list and value wherever a point and a value all but coincide."""
    near, regular = part < 2 * _NEAR, number == _LEFT
    always, v = np.nonzero(near & regular)
    first = np.nonzero(near & ~regular)
    once = (np.ceil(until) - until < 2 * _NEAR * _LEFT) & ~regular
    later = np.nonzero(once)
    example = np.concatenate([np.repeat(always, rights), first[0], later[0]])
    i = np.concatenate(
        [
            np.tile(np.arange(rights), len(always)),
            np.zeros(len(first[0]), dtype=int),
            np.ceil(until[once]).astype(int),
        ]
    )
    return example, i, np.concatenate([np.repeat(v, rights), first[1], later[1]])
