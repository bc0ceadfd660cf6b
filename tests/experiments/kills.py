"""A kill of a command at one of its file-system events, without a process for each."""

import contextlib
import io
import os


class Killed(BaseException):
    """Stands for a kill: nothing may be done to a file after it."""


@contextlib.contextmanager
def killed_at(number, patch):
    """Lets the event with a number, and all after it, fail; yields a list of the events so far.

    Args:
        number: Which event, from 0: a rename, removal, new folder, change of mode, a write through
            to the disk, or a file opened for writing.
        patch: A `pytest.MonkeyPatch`, undone afterwards.
    """
    events = []

    def event(name):
        events.append(name)
        if len(events) > number:
            raise Killed(name)

    def before(name, call):
        def caught(*args, **options):
            event(name)
            return None if name == "fsync" else call(*args, **options)

        return caught

    for name in ("rename", "replace", "unlink", "remove", "mkdir", "rmdir", "chmod", "fsync"):
        patch.setattr(os, name, before(name, getattr(os, name)))
    opened = io.open

    def opening(path, mode="r", *args, **options):
        if set(mode) & set("wax+"):
            event(f"open {mode}")
        return opened(path, mode, *args, **options)

    patch.setattr("builtins.open", opening)
    patch.setattr(io, "open", opening)
    try:
        with contextlib.suppress(Killed):
            yield events
    finally:
        patch.undo()
