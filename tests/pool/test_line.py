"""The order in which pieces of work are handed out, and what becomes of those that wait."""

import pytest

from tfunlearn.pool import (
    BUSY,
    DIED,
    ERROR,
    LOST,
    MADE,
    THERE,
    Event,
    Line,
    check_counts,
    here,
    line,
    until_done,
)

HOUSE = {"roof": ["walls"], "walls": ["ground"], "door": ["walls"]}


def needs(item):
    return HOUSE.get(item, [])


def test_nothing_is_handed_out_before_what_it_needs():
    items = ["roof", "walls", "ground", "garden", "door"]
    waiting = Line(items, needs=needs)
    assert [waiting.next(), waiting.next(), waiting.next()] == ["ground", "garden", None]
    for kind in (BUSY, LOST, ERROR, "failed"):
        waiting.ended(Event(kind, "ground"))
        assert waiting.next() is None
    waiting.ended(Event(THERE, "ground"))
    assert [waiting.next(), waiting.next()] == ["walls", None]
    assert len(waiting) == 2
    waiting.ended(Event(MADE, "walls"))
    assert [waiting.next(), waiting.next(), waiting.next()] == ["roof", "door", None]


def test_what_is_not_in_the_line_has_been_made():
    assert Line(["roof"], needs=needs).next() == "roof"


def test_a_piece_whose_worker_died_is_next_until_it_died_too_often():
    waiting = Line("ab", retries=1)
    assert waiting.next() == "a"
    assert waiting.died("a", "fell") == Event(DIED, "a", "fell")
    assert waiting.next() == "a"
    words = "died 2 times. Expected: at most 1. The last one fell again"
    assert waiting.died("a", "fell again") == Event(LOST, "a", words)
    assert [waiting.next(), waiting.next()] == ["b", None]


def test_pieces_are_made_here_in_their_order():
    events = list(here(lambda item: Event(MADE, item), ["roof", "walls", "ground"], needs=needs))
    assert [event.item for event in events] == ["ground", "walls", "roof"]


def test_what_is_busy_and_what_needs_it_is_made_later(monkeypatch):
    """Another driver builds the walls meanwhile."""
    given, looks, slept, told = [], [], [], []
    monkeypatch.setattr(line.time, "sleep", slept.append)

    def make(todo):
        given.append(list(todo))
        first = len(given) == 1
        return here(
            lambda item: Event(BUSY if first and item == "walls" else MADE, item),
            todo,
            needs=needs,
        )

    def free(item):
        looks.append(item)
        return len(looks) > 6

    events = list(until_done(["ground", "walls", "roof", "garden"], make, free, told.append))
    assert given == [["ground", "walls", "roof", "garden"], ["walls", "roof"]]
    assert [event.item for event in events] == ["ground", "garden", "walls", "roof"]
    assert {event.kind for event in events} == {MADE}
    assert len(slept) == 2
    assert told == [["walls", "roof"]]


def test_makers_end_with_whoever_stops_asking():
    ended = []

    def make(todo):
        try:
            for item in todo:
                yield Event(MADE, item)
        finally:
            ended.append(True)

    events = until_done("ab", make, lambda item: True)
    next(events)
    events.close()
    assert ended == [True]


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ({"workers": 0}, "workers: expected a whole number of at least 1. Received: 0"),
        ({"workers": 1.5}, "workers: expected a whole number of at least 1. Received: 1.5"),
        ({"workers": True}, "workers: expected a whole number"),
        ({"retries": -1}, "retries: expected a whole number of at least 0. Received: -1"),
        ({"threads": 0}, "threads: expected a whole number of at least 1, or None. Received: 0"),
    ],
    ids=str,
)
def test_numbers_that_are_too_small(counts, words):
    with pytest.raises(ValueError, match=words):
        check_counts(**counts)
