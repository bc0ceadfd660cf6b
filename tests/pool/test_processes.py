"""Processes that make pieces of work: what they are asked, and what becomes of them."""

import json
import pathlib
import resource
import signal
import subprocess
import sys
import threading

import pytest

from tfunlearn.pool import DIED, ERROR, LOST, MADE, Work, processes, with_processes

ITEMS = [f"piece-{number}" for number in range(4)]

# stands in for the worker: notes what it is asked, and ends as the folder's file says
FAKE = """
import json, os, pathlib, signal, sys
folder = pathlib.Path(json.loads(sys.argv[1])["folder"])
acts = json.loads((folder / "acts.json").read_text())
(folder / f"given-{os.getpid()}.json").write_text(sys.argv[1])
os.replace(folder / f"given-{os.getpid()}.json", folder / "given.json")
for line in sys.stdin:
    name = json.loads(line)["name"]
    with open(folder / "log", "a") as file:
        file.write(f"{name}\\n")
    times = (folder / "log").read_text().split().count(name)
    act = acts.get(name, ["done"])
    act = act[min(times, len(act)) - 1]
    print("a library prints", flush=True)
    if act == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if act == "exit":
        sys.stderr.write("no such thing")
        sys.exit(3)
    if act == "torn":
        print('tfunlearn worker: {"kind": "ma', end="", flush=True)
        sys.exit(3)
    if act == "half a line":
        sys.stdout.buffer.write(b"\\xff 50 %")
        sys.stdout.flush()
    answer = {"error": "it diverged"} if act == "error" else {"kind": "made", "text": "in 0.1 s"}
    print("tfunlearn worker: " + json.dumps(answer), flush=True)
"""


def ask(item):
    return {"name": item}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A function: what becomes of pieces -> the events of a crew, and the pieces asked for."""
    monkeypatch.setattr(processes, "_PROGRAM", FAKE)

    def call(acts, workers=2, retries=2, needs=None):
        (tmp_path / "acts.json").write_text(json.dumps(acts))
        options = {"workers": workers, "retries": retries, "question": ask, "needs": needs}
        events = list(with_processes(Work("of no use", tmp_path), ITEMS, **options))
        return events, (tmp_path / "log").read_text().split()

    return call


@pytest.mark.parametrize("workers", [1, 2, 9])
def test_each_piece_is_asked_for_once(run, workers):
    events, asked = run({}, workers)
    assert sorted(event.item for event in events) == ITEMS
    assert {event.kind for event in events} == {MADE}
    assert sorted(asked) == ITEMS


@pytest.mark.parametrize(("workers", "expected"), [(1, 8), (3, 2), (4, 2)])
def test_processes_share_the_processors(run, tmp_path, monkeypatch, workers, expected):
    monkeypatch.setattr(processes, "cores", lambda: 8)
    run({}, workers)
    assert json.loads((tmp_path / "given.json").read_text())["at_once"] == expected


@pytest.mark.parametrize("workers", [1, 2])
def test_a_process_that_dies_is_replaced_and_its_piece_tried_again(run, workers):
    acts = {"piece-1": ["kill", "exit", "done"], "piece-2": ["exit", "done"]}
    events, asked = run(acts, workers)
    died = [(event.item, event.text) for event in events if event.kind == DIED]
    assert sorted(died) == [
        ("piece-1", "ended with status 3: ... no such thing"),
        ("piece-1", "was ended by SIGKILL (often: out of memory)"),
        ("piece-2", "ended with status 3: ... no such thing"),
    ]
    assert sorted(event.item for event in events if event.kind == MADE) == ITEMS
    assert [asked.count(item) for item in ITEMS] == [1, 3, 2, 1]


@pytest.mark.parametrize(("act", "kinds"), [("torn", [DIED, MADE]), ("half a line", [MADE])])
def test_what_a_process_prints_beside_its_answers_stops_nothing(run, act, kinds):
    events, _ = run({"piece-1": [act, "done"]}, workers=1)
    assert [event.kind for event in events if event.item == "piece-1"] == kinds
    assert len({event.item for event in events if event.kind == MADE}) == len(ITEMS)


def test_a_piece_whose_processes_die_too_often_is_lost_and_the_others_are_made(run):
    events, asked = run({"piece-2": ["kill"]}, retries=1)
    (text,) = [event.text for event in events if event.kind == LOST]
    assert text.startswith("died 2 times. Expected: at most 1. The last one was ended by SIGKILL")
    made = sorted(event.item for event in events if event.kind == MADE)
    assert made == ["piece-0", "piece-1", "piece-3"]
    assert asked.count("piece-2") == 2


def test_nothing_is_begun_after_an_error_by_whoever_stops_there(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "_PROGRAM", FAKE)
    (tmp_path / "acts.json").write_text(json.dumps({"piece-0": ["error"]}))
    asked = []
    made = with_processes(
        Work("of no use", tmp_path),
        ITEMS,
        workers=1,
        retries=2,
        question=lambda item: asked.append(item) or ask(item),
    )
    event = next(made)
    made.close()
    assert event == (ERROR, "piece-0", "it diverged")
    assert asked == ["piece-0"]


def test_a_piece_waits_for_what_it_needs(run):
    first = {"piece-0", "piece-3"}
    events, asked = run({}, 4, needs=lambda item: [] if item in first else ["piece-3"])
    assert all(asked.index(item) > asked.index("piece-3") for item in ITEMS if item not in first)
    assert sorted(event.item for event in events) == ITEMS


def test_processes_end_with_whoever_stops_asking(tmp_path, monkeypatch):
    started = []
    popen = subprocess.Popen
    monkeypatch.setattr(processes, "_PROGRAM", FAKE)
    monkeypatch.setattr(
        processes.subprocess,
        "Popen",
        lambda *args, **options: started.append(popen(*args, **options)) or started[-1],
    )
    (tmp_path / "acts.json").write_text("{}")
    events = with_processes(Work("of no use", tmp_path), ITEMS, workers=2, retries=0, question=ask)
    next(events)
    events.close()
    assert [process.poll() for process in started] == [-signal.SIGKILL] * 2


def test_a_start_that_fails_is_an_error_that_says_why(tmp_path):
    """The real worker, with a start that is not there."""
    work = Work("tfunlearn.pool:nothing_of_that_name", pathlib.Path(tmp_path))
    events = with_processes(work, ["piece"], workers=1, retries=0, question=ask)
    event = next(events)
    events.close()
    assert event.kind == ERROR
    assert "nothing_of_that_name" in event.text


def program(tmp_path):
    """The real program of a worker, whose imports are reported on stderr as they end."""
    work = {
        "start": "tfunlearn.pool:nothing",
        "folder": str(tmp_path),
        "options": {},
        "threads": None,
    }
    work |= {"paths": []}
    return subprocess.Popen(
        [sys.executable, "-P", "-X", "importtime", "-c", processes._PROGRAM, json.dumps(work)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=processes._environment(),
        cwd=tmp_path,
    )


def test_a_worker_ends_with_its_driver_while_it_imports(tmp_path):
    worker = program(tmp_path)
    for line in worker.stderr:
        if line.split("|")[-1].strip() == "numpy":
            break
    used = children_seconds()
    worker.stdin.close()  # as the system does for a driver that is killed
    worker.stderr.read()
    assert worker.wait() == 0
    assert worker.stdout.read() == ""  # it never came to its work
    worker.stdout.close()
    worker.stderr.close()
    assert children_seconds() - used < 1  # its imports alone take longer


def children_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_a_worker_takes_no_module_from_the_current_folder(tmp_path):
    names = ("abc", "h5py", "json", "numpy", "optree", "queue", "random", "secrets", "tempfile")
    for name in (*names, "typing"):
        (tmp_path / f"{name}.py").write_text("open('RAN_' + __name__, 'w')\nraise ImportError")
    worker = program(tmp_path)
    reader = threading.Thread(target=worker.stderr.read)
    reader.start()
    answer = worker.stdout.readline()
    worker.stdin.close()
    reader.join()
    worker.wait()
    worker.stdout.close()
    worker.stderr.close()
    assert "tfunlearn worker: " in answer  # it came to its start, which is not there
    assert "nothing" in answer
    assert list(tmp_path.glob("RAN_*")) == []
