"""How far the filling of a bank is: a bar on a terminal, a line a model elsewhere."""

import sys
import time
from collections.abc import Callable
from typing import TextIO

_WIDTH = 30


class Bar:
    """Shows how many models are done and how long the others will take.

    Args:
        stream: where to; by default stderr.
        clock: seconds that never go back.

    Example:
        >>> import sys
        >>> ticks = iter([0.0, 2.0, 4.0])
        >>> bar = Bar(sys.stdout, lambda: next(ticks))
        >>> bar(1, 4, "seed 0: made in 2.0 s")
        1 of 4, 0:06 left; seed 0: made in 2.0 s
    """

    def __init__(
        self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream, self._clock = stream or sys.stderr, clock
        self._start, self._shown = clock(), ""

    def __call__(self, done: int, total: int, line: str) -> None:
        """Shows that one more model is done.

        Args:
            done: models done so far.
            total: models in all.
            line: what is said of the last one.
        """
        seconds = (self._clock() - self._start) / done * (total - done)
        left = "" if done == total else f", {_duration(seconds)} left"
        if not self._stream.isatty():
            print(f"{done} of {total}{left}; {line}", file=self._stream, flush=True)
            return
        full = _WIDTH * done // total
        self._show(f"[{'=' * full}{' ' * (_WIDTH - full)}] {done} of {total}{left}")
        if done == total:
            self._shown = ""
            print(file=self._stream, flush=True)

    def say(self, line: str) -> None:
        """Shows a line above the bar.

        Args:
            line: the line.
        """
        shown = self._shown
        if shown:
            self._show("")
            self._stream.write("\r")
        print(line, file=self._stream, flush=True)
        if shown:
            self._show(shown)

    def _show(self, text: str) -> None:
        """Writes over the line that is there."""
        self._stream.write("\r" + text.ljust(len(self._shown)))
        self._stream.flush()
        self._shown = text


def _duration(seconds: float) -> str:
    """Returns a time as minutes and seconds, or hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
