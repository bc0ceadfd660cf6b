"""What a worker is asked, read from before its imports on; it ends when its driver does."""

import os
import queue
import signal
import threading

__all__ = ["listen"]


def listen() -> queue.SimpleQueue:
    """Returns a queue that gets each line from standard input, without its end.

    When the driver closes the line, or dies, this process ends at once, whatever it is doing.
    Ctrl-C is left to the driver, which ends its workers.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    lines: queue.SimpleQueue = queue.SimpleQueue()
    threading.Thread(target=_pass_on, args=(lines,), daemon=True).start()
    return lines


def _pass_on(lines: queue.SimpleQueue) -> None:
    """Puts lines into a queue, past `sys.stdin`, whose lock a process may need as it ends."""
    left = b""
    while part := os.read(0, 1 << 16):
        *whole, left = (left + part).split(b"\n")
        for line in whole:
            lines.put(line)
    os._exit(0)
