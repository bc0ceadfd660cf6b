"""Ctrl-C and SIGTERM end a command once: never lost, never during its cleaning up, no trace."""

import contextlib
import os
import signal
import sys
import threading
from types import FrameType
from typing import Any

__all__ = ["Interrupted", "Interrupts"]

_AGAIN = 0.25  # seconds until an interrupt that something swallowed is raised again
_WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "ended by SIGTERM"}


class Interrupted(KeyboardInterrupt):
    """Raised in the main thread by Ctrl-C or SIGTERM."""


class Interrupts:
    """Handlers of Ctrl-C and SIGTERM for the time of a block, in the main thread.

    Python drops what a handler raises within a finaliser or a callback, and libraries catch it. So
    it is raised again until the block has it, though never while it is being handled: what a
    command does to leave nothing behind is not cut short. A signal that is ignored as the block is
    entered stays so. On Windows nothing is raised again.

    Attributes:
        number: the first signal that arrived, or None.
        at_once: whether a signal ends the process on the spot, for the time in which it imports,
            where an exception may be lost and there is nothing to clean up.

    Args:
        of_process: whether the block is all that the process does. Its handlers then stay, so that
            a second signal as Python ends prints no trace.
    """

    def __init__(self, *, of_process: bool) -> None:
        self.number: int | None = None
        self.at_once = of_process
        self._of_process, self._terminal = of_process, None
        self._before: dict[int, Any] = {}
        self._alarm: Any = None  # the handler of SIGALRM before

    def __enter__(self) -> "Interrupts":
        with contextlib.suppress(OSError):  # standard error is closed
            self._terminal = os.dup(2)  # 2 may be held back when a signal arrives
        self._hook, sys.unraisablehook = sys.unraisablehook, self._unraisable
        if threading.current_thread() is not threading.main_thread():
            return self  # signals come to the main thread alone
        for number in _WORDS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._arrived)
        return self

    def __exit__(self, *error: object) -> None:
        if hasattr(signal, "setitimer") and self.number is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)
            if self._alarm is not None:
                signal.signal(signal.SIGALRM, self._alarm)
        for number, before in self._before.items():
            signal.signal(number, signal.SIG_DFL if self._of_process else before)
        sys.unraisablehook = self._hook
        if self._terminal is not None:
            os.close(self._terminal)

    @property
    def status(self) -> int:
        """The exit status that shells give a process that the signal ended."""
        return 128 + (self.number or signal.SIGINT)

    @property
    def words(self) -> str:
        """What happened, for a message."""
        return _WORDS[signal.Signals(self.number or signal.SIGINT)]

    def _arrived(self, number: int, frame: FrameType | None) -> None:
        """Notes a signal and raises, or ends the process."""
        self.number = self.number or number
        if self.at_once:
            if self._terminal is not None:
                line = f"tfunlearn: error: {self.words} before anything was begun\n"
                with contextlib.suppress(OSError):
                    os.write(self._terminal, line.encode())
            os._exit(self.status)
        if hasattr(signal, "setitimer"):
            before = signal.signal(signal.SIGALRM, self._again)
            self._alarm = before if self._alarm is None else self._alarm
            signal.setitimer(signal.ITIMER_REAL, _AGAIN, _AGAIN)
        self._again(number, frame)

    def _again(self, number: int, frame: FrameType | None) -> None:
        """Raises unless that is being handled."""
        error = sys.exception()
        while error is not None:
            if isinstance(error, Interrupted):
                return
            error = error.__context__
        raise Interrupted

    def _unraisable(self, found: Any) -> None:
        """Is silent on an interrupt that Python drops, as it is raised again."""
        if not isinstance(found.exc_value, Interrupted):
            self._hook(found)
