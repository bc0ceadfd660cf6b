"""Kills a command at each of its file-system events; run as a process of its own, as it forks.

Prints a JSON list of what was found wrong, and how many kills there were.
"""

import builtins
import itertools
import json
import os
import pathlib
import shutil
import sys
import tempfile

from tfunlearn.storage import check_output, output
from tfunlearn.storage.journal import settle

NAMES = ["model", "again", "report.json", "report.html", "same"]
OLD = {"model": "old", "again": "old", "report.json": "old", "same": "same"}
NEW = {"model": "new", "report.json": "new", "report.html": "new", "same": "same"}
EVENTS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def killed_at(number, call):
    """Calls a function in a child that dies at an event; tells whether it did."""
    child = os.fork()
    if child == 0:
        _die_at(number)
        call()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def _die_at(number):
    count = itertools.count()

    def event():
        if next(count) == number:
            os._exit(9)

    def hook(name, args):
        if name in EVENTS and (name != "open" or args[2] & WRITING):
            event()

    opened = builtins.open

    def synced(file):  # a kill loses nothing that was written, and a real one is slow
        event()

    def in_halves(path, mode="r", *args, **options):
        file = opened(path, mode, *args, **options)
        if "w" in mode:
            write = file.write

            def half_by_half(content):
                middle = len(content) // 2
                write(content[:middle])
                file.flush()
                event()
                return middle + write(content[middle:])

            if mode == "wb":
                return _Halves(file, half_by_half)
        return file

    os.fsync, builtins.open = synced, in_halves
    sys.addaudithook(hook)


class _Halves:
    """A file whose writes may be cut in the middle."""

    def __init__(self, file, write):
        self.file, self.write = file, write

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def __getattr__(self, name):
        return getattr(self.file, name)


def put(folder, files):
    with output(folder, "test", NAMES) as results:
        for name, text in files.items():
            with open(results.path(name), "wb") as file:
                file.write(text.encode())


def there(folder):
    """Returns the files of the set that are to be seen, and their content."""
    return {name: (folder / name).read_text() for name in NAMES if (folder / name).exists()}


def part(found, whole):
    return found.items() <= whole.items()


def main():
    os.fsync = lambda file: None
    base, wrong, kills = pathlib.Path(tempfile.mkdtemp()), [], 0
    for before in ({}, OLD):
        start = base / f"start-{len(before)}"
        start.mkdir()
        if before:
            put(start, before)
        (start / "notes").write_text("mine")
        for first in itertools.count():
            folder = base / "out"
            shutil.copytree(start, folder)
            died = killed_at(first, lambda folder=folder: put(folder, NEW))
            kills += died
            seen = there(folder)
            if not part(seen, before) and not part(seen, NEW):
                wrong.append(f"{first}: a mixture: {seen}")
            pending = (folder / ".tfunlearn" / "commit.json").exists()
            for name, recover in (
                ("reader", lambda folder: settle(folder)),
                ("command", lambda folder: check_output(folder, "test", NAMES)),
            ):
                often = pending and before and name == "command"  # a kill while completing, too
                for second in itertools.count(0 if often else 10**6):
                    again = base / "again"
                    shutil.copytree(folder, again)
                    twice = killed_at(second, lambda again=again, do=recover: do(again))
                    kills += twice
                    done = there(again)
                    if not part(done, before) and not part(done, NEW):
                        wrong.append(f"{first}, {second}: a mixture: {done}")
                    recover(again)
                    done = there(again)
                    expected = (NEW,) if pending or not died else (before, NEW)
                    if done not in expected or (again / "notes").read_text() != "mine":
                        wrong.append(f"{first}, {second}, {name}: {done}, expected {expected}")
                    if name == "command" and list(again.rglob("stage-*")):
                        wrong.append(f"{first}, {second}: leftovers")
                    shutil.rmtree(again)
                    if not twice:
                        break
            shutil.rmtree(folder)
            if not died:
                break
    shutil.rmtree(base)
    print(json.dumps({"wrong": wrong, "kills": kills}))


if __name__ == "__main__":
    main()
