"""Changes of JSON values and of bytes, drawn by hypothesis."""

from hypothesis import strategies as st

ODD = (
    *(None, True, False, 0, 1, -1, 2, 7, 3.5, -0.05, 1e308, -1e308, 1e-320, 5e-324, 2**53, 2**63),
    *(10**40, 10**400, -(10**40), float("nan"), float("inf"), "", "x", "nan", "a\nb", "$x^", "\0"),
    *("\ud800", "é" * 300, "9" * 5000, [], {}, [1], [None], ["x"], [[]], [0] * 40, [-1] * 40),
    *([1.0] * 3, [10**400], {"a": 1}, {"\ud800": 1}, {"": None}),
)


def places(value, path=()):
    """Yields the path of each value inside, of long lists the first three alone."""
    yield path
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(min(len(value), 3)):
            yield from places(value[key], (*path, key))


@st.composite
def changed(draw, value, found):
    """Draws a value with one to three of its parts replaced, removed, doubled or renamed.

    Args:
        value: JSON values; changed in place.
        found: The paths of its parts, all but its own.
    """
    for path in draw(st.lists(st.sampled_from(found), min_size=1, max_size=3)):
        try:
            inside = value
            for key in path[:-1]:
                inside = inside[key]
            part = inside[path[-1]]
        except (KeyError, IndexError, TypeError):  # changed away
            continue
        if not isinstance(inside, dict | list):
            continue
        act = draw(st.sampled_from(["replace"] * 5 + ["remove", "double", "rename"]))
        if act == "remove":
            del inside[path[-1]]
        elif act == "double" and isinstance(part, list):
            inside[path[-1]] = [*part, *part[-1:]]
        elif act == "rename" and isinstance(inside, dict):
            inside[draw(st.sampled_from(["x", "", "\ud800", "forget"]))] = inside.pop(path[-1])
        else:
            inside[path[-1]] = draw(st.sampled_from(ODD))
    return value


@st.composite
def damaged(draw, content):
    """Draws bytes that differ: some overwritten, cut off, doubled, or others in between."""
    content = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(len(content) - 1, 0)))
        act = draw(st.sampled_from(["write", "write", "write", "cut", "insert", "double"]))
        if act == "write":
            some = draw(st.binary(min_size=1, max_size=8))
            content[place : place + len(some)] = some
        elif act == "cut":
            del content[place : place + draw(st.sampled_from([1, 7, 1000, 10**6]))]
        elif act == "insert":
            content[place:place] = draw(st.binary(max_size=20))
        else:
            content[place:place] = content[place : place + 60]
    return bytes(content)


def outcome(function, *args, errors=ValueError):
    """Returns what a function returns and None, or None and its error of the kind allowed."""
    try:
        return function(*args), None
    except errors as error:
        return None, error
