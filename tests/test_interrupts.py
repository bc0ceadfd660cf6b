"""Ctrl-C and SIGTERM: one line, the shell's status, and nothing that swallows them for good."""

import contextlib
import gc
import os
import signal
import subprocess
import sys
import threading

import pytest

from tfunlearn.cli import main
from tfunlearn.interrupts import Interrupted, Interrupts

# of JAX, once it is in use; the child replaces itself at once, or is killed
pytestmark = pytest.mark.filterwarnings(r"ignore:os\.fork\(\) was called:RuntimeWarning")

SIGNALS = pytest.mark.parametrize(
    ("number", "words"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "ended by SIGTERM")]
)


@pytest.fixture(autouse=True)
def heard():
    """Ctrl-C as at a terminal, also where the tests run in the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def wait():
    """Waits for a signal; fails if none comes in a minute."""
    signal.sigtimedwait([], 60)
    pytest.fail("nothing was raised")


@SIGNALS
def test_a_signal_is_raised_and_named(number, words):
    before = [signal.getsignal(own) for own in (signal.SIGINT, signal.SIGTERM)]
    with Interrupts(of_process=False) as interrupts:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
        assert (interrupts.number, interrupts.words) == (number, words)
        assert interrupts.status == 128 + number
    assert [signal.getsignal(own) for own in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="nothing is raised again here")
def test_the_alarm_of_others_is_given_back():
    before = signal.getsignal(signal.SIGALRM)
    with Interrupts(of_process=False):
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGALRM) == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_a_command_runs_in_any_thread():
    found = []
    thread = threading.Thread(target=lambda: found.append(main(["methods", "no such method"])))
    thread.start()
    thread.join()
    assert found == [2]


def swallow():
    """Sends a signal to this process, as a library would that catches it."""
    with contextlib.suppress(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def drop():
    """Sends a signal where Python drops what is raised."""

    def callback(phase, info):
        gc.callbacks.remove(callback)
        signal.raise_signal(signal.SIGINT)

    gc.callbacks.append(callback)
    gc.collect()


@pytest.mark.parametrize("lose", [swallow, drop])
def test_what_is_lost_is_raised_again_and_not_shown(lose, capsys):
    def lose_and_go_on():
        lose()
        wait()

    with Interrupts(of_process=False), pytest.raises(Interrupted):
        lose_and_go_on()
    assert capsys.readouterr().err == ""


def test_cleaning_up_is_not_cut_short():
    done = []

    def clean_up():
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.sigtimedwait([], 0.6)  # those that come again
            signal.raise_signal(signal.SIGINT)
            try:
                raise OSError("no such folder")
            except OSError:
                signal.raise_signal(signal.SIGINT)
            done.append("all")

    with Interrupts(of_process=False), pytest.raises(Interrupted):
        clean_up()
    assert done == ["all"]


def test_what_is_ignored_stays_so():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Interrupts(of_process=False) as interrupts:
        signal.raise_signal(signal.SIGINT)
        assert interrupts.number is None


def started(*args, **options):
    """Returns the command as a process, told what was imported as it is."""
    code = "import sys; from tfunlearn.cli import main; sys.exit(main())"
    return subprocess.Popen(
        [sys.executable, "-u", "-P", "-X", "importtime", "-c", code, *args],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        **options,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


@SIGNALS
@pytest.mark.parametrize("module", ["argparse", "tfunlearn.experiments.startup"])
def test_a_signal_during_imports_ends_the_process_at_once(number, words, module):
    process = started("methods")
    for line in process.stderr:
        if line.split("|")[-1].strip() == module:
            break
    process.send_signal(number)
    said, errors = process.communicate()
    rest = [line for line in errors.splitlines() if not line.startswith("import time:")]
    assert rest == [f"tfunlearn: error: {words} before anything was begun"]
    assert (process.returncode, said) == (128 + number, "")


def test_a_second_signal_as_python_ends_prints_no_trace():
    code = (
        "import atexit, signal, sys; from tfunlearn.interrupts import Interrupts\n"
        "atexit.register(signal.raise_signal, signal.SIGINT)\n"
        "with Interrupts(of_process=True): pass"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=os.environ,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")
