import importlib.metadata
import os
import resource
import signal
import subprocess
import sys

import numpy as np
import pytest

import tfunlearn
from tfunlearn import cli
from tfunlearn.experiments import cifar10_confuser, demo, mnist_retrain, startup

# of JAX, once it is in use; the child replaces itself at once, or is killed
pytestmark = pytest.mark.filterwarnings(r"ignore:os\.fork\(\) was called:RuntimeWarning")

COMMANDS = ("demo", "compare", "audit", "bank", "unlearn", "methods", "run")
HELP = (
    [["--help"]]
    + [[name, "--help"] for name in COMMANDS]
    + [["run", name, "--help"] for name in ("mnist-retrain", "cifar10-confuser")]
)


@pytest.fixture
def started(monkeypatch):
    """Keeps the start of Keras away, and tells whether it was asked for."""
    calls = []
    monkeypatch.setattr(startup, "start", lambda **options: calls.append(options))
    return calls


@pytest.fixture
def called(monkeypatch, started):
    """Puts recorders in the place of the experiments: a list of (name, args, options)."""
    calls = []
    for module, name in (
        (demo, "demo"),
        (mnist_retrain, "mnist_retrain"),
        (cifar10_confuser, "cifar10_confuser"),
    ):

        def record(*args, name=name, **options):
            calls.append((name, args, options))
            return {} if name == "demo" else "the report"

        monkeypatch.setattr(module, name, record)
    return calls


def error_line(capsys):
    """Returns stderr, which must be one line of the agreed form."""
    err = capsys.readouterr().err
    assert err.startswith("tfunlearn: error: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    return err


@pytest.mark.parametrize("args", HELP, ids=" ".join)
def test_help_is_fast_and_imports_nothing_heavy(args):
    code = (
        "import sys; from tfunlearn.cli import main; status = main(sys.argv[1:]);"
        "heavy = {'keras', 'tensorflow', 'numpy', 'sklearn', 'matplotlib'};"
        "print(heavy & set(sys.modules), status)"
    )
    before = processor_seconds()
    done = subprocess.run(
        [sys.executable, "-c", code, *args], capture_output=True, text=True, check=True
    )
    assert processor_seconds() - before < 1  # not by the clock, as the machine may be busy
    assert done.stdout.splitlines()[-1] == "set() 0"
    assert done.stdout.startswith("usage: tfunlearn")


def processor_seconds():
    """Returns the seconds of processor time of all child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_version(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"tfunlearn {tfunlearn.__version__}\n"


def test_entry_point_is_main():
    (entry,) = importlib.metadata.entry_points(group="console_scripts", name="tfunlearn")
    assert entry.load() is cli.main


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], "required: command"),
        (["run"], "required: experiment"),
        (["fly"], "invalid choice: 'fly'"),
        (["run", "fly"], "invalid choice: 'fly'"),
        (["demo", "--epochs", "0"], "--epochs: expected a whole number of at least 1"),
        (["demo", "--epochs", "two"], "at least 1. Received: 'two'"),
        (["demo", "--limit", "-1"], "--limit: expected a whole number of at least 1"),
        (["demo", "--seed", "-1"], "--seed: expected a whole number of at least 0"),
        (["demo", "--forget-fraction", "1.5"], "--forget-fraction: expected a share inside (0, 1)"),
        (["demo", "--forget-fraction", "0"], "inside (0, 1). Received: '0'"),
        (["demo", "--forget-fraction", "nan"], "inside (0, 1). Received: 'nan'"),
        (["demo", "--data-dir", "."], "unrecognized arguments"),
        (["demo", "--epoch", "1"], "unrecognized arguments"),
        (["run", "mnist-retrain", "--limit", "0"], "at least 1. Received: '0'"),
        (["run", "mnist-retrain", "--init", "jax"], "invalid choice: 'jax'"),
        (["run", "mnist-retrain", "--data-dir", "nowhere"], "expected an existing folder"),
        (["run", "cifar10-confuser", "--epochs", "1.5"], "at least 1. Received: '1.5'"),
    ],
    ids=" ".join,
)
def test_bad_arguments_are_one_line_and_status_2(args, words, capsys, called, started):
    assert cli.main(args) == 2
    assert words in error_line(capsys)
    assert (called, started) == ([], [])


@pytest.mark.parametrize("below", [".", "deeper/still"])
@pytest.mark.parametrize(
    "command", [["demo"], ["run", "mnist-retrain"], ["run", "cifar10-confuser"]], ids=" ".join
)
def test_unwritable_out_is_an_error_before_anything_starts(
    command, below, tmp_path, capsys, called, started
):
    file = tmp_path / "file"
    file.write_text("mine")
    assert cli.main([*command, "--out", str(file / below)]) == 2
    assert "--out: expected a folder that can be written to" in error_line(capsys)
    assert (called, started, file.read_text()) == ([], [], "mine")


def test_unknown_rows_are_bad_arguments(tmp_path, capsys, called):
    args = ["run", "cifar10-confuser", "--out", str(tmp_path), "--rows", "finetune,magic"]
    assert cli.main(args) == 2
    assert "--rows: expected some of finetune,confuser-stem" in error_line(capsys)
    assert called == []


def test_demo_gets_its_options(tmp_path, called, started):
    out = str(tmp_path)
    options = ["--seed", "3", "--epochs", "2", "--forget-fraction", ".2", "--limit", "90"]
    assert cli.main(["demo", "--out", out, *options]) == 0
    expected = {
        "seed": 3,
        "epochs": 2,
        "forget_fraction": 0.2,
        "limit": 90,
        "force": False,
        "verbose": 0,
    }
    expected |= {"which": demo.SHOWN}
    assert called == [("demo", (out,), expected)]
    assert started == [{"quiet": True}]


@pytest.mark.parametrize(
    ("given", "which"), [("all", None), ("finetune", ("finetune",)), ("magic", "error")]
)
def test_demo_tries_the_methods_that_are_asked_for(tmp_path, called, started, capsys, given, which):
    status = cli.main(["demo", "--out", str(tmp_path), "--methods", given])
    if which == "error":
        assert status == 2
        assert "--methods: method: expected one of retrain" in error_line(capsys)
    else:
        assert called[0][2]["which"] == which


def test_verbose_reaches_keras_and_the_start(tmp_path, called, started):
    assert cli.main(["demo", "--out", str(tmp_path), "--verbose"]) == 0
    assert called[0][2]["verbose"] == 1
    assert started == [{"quiet": False}]


def test_experiments_get_the_notebooks_settings(tmp_path, called, capsys):
    out, folder = str(tmp_path / "out"), tmp_path
    for name in ("mnist-retrain", "cifar10-confuser"):
        assert cli.main(["run", name, "--out", out, "--data-dir", str(folder)]) == 0
    common = {
        "data_dir": folder,
        "seed": 0,
        "epochs": 5,
        "limit": None,
        "force": False,
        "verbose": 0,
    }
    own = {"rows": cifar10_confuser.DEFAULT_ROWS, "jit_compile": "auto"}
    assert called == [
        ("mnist_retrain", (out,), common | {"forget_fraction": 0.9, "init": "torch"}),
        ("cifar10_confuser", (out,), common | {"forget_fraction": 0.1} | own),
    ]
    assert "result.json" in capsys.readouterr().out


def test_rows_are_parted_at_commas(tmp_path, called):
    chosen = "finetune,confuser-relative-0.1"
    args = ["run", "cifar10-confuser", "--out", str(tmp_path), "--rows", chosen]
    assert cli.main(args) == 0
    assert called[0][2]["rows"] == ("finetune", "confuser-relative-0.1")


def raising(error):
    def fail(*args, **options):
        raise error

    return fail


def test_a_failure_is_one_line_and_status_1(tmp_path, monkeypatch, capsys, started):
    monkeypatch.setattr(demo, "demo", raising(RuntimeError("first\nsecond " + "long " * 500)))
    assert cli.main(["demo", "--out", str(tmp_path)]) == 1
    line = error_line(capsys)
    assert "first second long" in line
    assert "--debug" in line
    assert len(line) < 700


def test_a_failure_without_words_is_named(tmp_path, monkeypatch, capsys, started):
    monkeypatch.setattr(demo, "demo", raising(MemoryError()))
    assert cli.main(["demo", "--out", str(tmp_path)]) == 1
    assert "MemoryError" in error_line(capsys)


def test_debug_shows_the_traceback(tmp_path, monkeypatch, started):
    monkeypatch.setattr(demo, "demo", raising(RuntimeError("no")))
    with pytest.raises(RuntimeError, match="no"):
        cli.main(["demo", "--out", str(tmp_path), "--debug"])


def test_an_interrupt_is_one_line_and_status_130(tmp_path, monkeypatch, capsys, started):
    monkeypatch.setattr(demo, "demo", raising(KeyboardInterrupt()))
    assert cli.main(["demo", "--out", str(tmp_path)]) == 130
    assert "interrupted" in error_line(capsys)


@pytest.mark.parametrize("harm", ["truncated", "other keys"])
def test_damaged_data_is_one_line_and_status_1(harm, tmp_path, capsys, started):
    file, out = tmp_path / "mnist.npz", tmp_path / "out"
    np.savez(file, images=np.zeros((50, 28, 28), "uint8"))
    if harm == "truncated":
        file.write_bytes(file.read_bytes()[:1000])
    args = ["run", "mnist-retrain", "--data-dir", str(tmp_path), "--out", str(out)]
    assert cli.main(args) == 1
    assert "mnist.npz' cannot be used" in error_line(capsys)
    assert [path for path in out.rglob("*") if path.is_file()] == []


@pytest.mark.slow
def test_ctrl_c_leaves_nothing_half_written(tmp_path, press_ctrl_c):
    out = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "tfunlearn.cli", "demo", "--out", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ,
        # also where the tests run in the background of a shell, which ignores it
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    for line in process.stdout:
        if line.startswith("Forget"):
            break
    err = press_ctrl_c(process)
    assert process.returncode == 130
    assert err == "tfunlearn: error: interrupted; the demo begins anew when it is run again\n"
    assert list(out.iterdir()) == []


def test_a_demo_with_a_failed_method_fails(tmp_path, monkeypatch, started, capsys):
    class Report:
        notes = ("magic: failed: it was a trick", "another note")

    monkeypatch.setattr(demo, "demo", lambda *args, **options: {"random": Report()})
    assert cli.main(["demo", "--out", str(tmp_path)]) == 1
    assert "1 of the demo's methods failed; magic: failed: it was a trick" in error_line(capsys)


def test_methods_lists_every_option(capsys):
    assert cli.main(["methods"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(tfunlearn.methods.table())
    assert "\n\nfinetune: Goes on training" in text
    assert cli.main(["methods", "finetune"]) == 0
    (head, *options) = capsys.readouterr().out.splitlines()
    assert head.startswith("finetune: ")
    assert "  epochs=5 " in "\n".join(options)


def test_methods_refuses_an_unknown_name(capsys):
    assert cli.main(["methods", "erase"]) == 2
    assert "method: expected one of retrain" in error_line(capsys)


def test_a_reader_that_ends_is_no_error():
    code = "import sys; from tfunlearn import cli; sys.exit(cli.main(['methods']))"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        run.stdout.close()
        said = run.stderr.read()
    assert (run.returncode, said) == (141, b"")
