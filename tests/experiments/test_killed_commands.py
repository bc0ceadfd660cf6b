"""Every command that writes a folder: a kill at any file-system event, a second command, an error.

What takes long is replaced; the files that the commands write are real.
"""

import dataclasses
import itertools
import pathlib
import shutil
from types import SimpleNamespace

import pytest
from kills import killed_at

from tfunlearn.experiments import (
    audit_file,
    cifar10_confuser,
    compare,
    compare_figures,
    compare_page,
    demo,
    demo_page,
    mnist_retrain,
    unlearn_file,
)
from tfunlearn.storage import Refused, check_output, output
from tfunlearn.storage.manifest import PRIVATE, Manifest

# of JAX, once it is in use; the child replaces itself at once, or is killed
pytestmark = pytest.mark.filterwarnings(r"ignore:os\.fork\(\) was called:RuntimeWarning")


@dataclasses.dataclass
class Training:
    """Stands for how a scenario's models are trained."""


class Report:
    """Stands for an audit, and writes a version in its place."""

    rows, split = (), {"sizes": {}}

    def __init__(self, version):
        self.version = version

    def save(self, path):
        return pathlib.Path(path).write_text(self.version) and pathlib.Path(path)

    to_html = save


def writing(version, *names):
    def write(results, *args, **options):
        for name in names:
            results.path(name).write_text(version)
        return "text", None

    return write


def unlearn(out, version, patch):
    names = ("unlearned.keras", "retrained.keras", "report.txt", "report.json", "report.html")
    names = [name for name in names if version == "old" or name != "retrained.keras"]
    patch.setattr(unlearn_file, "_unlearn", writing(version, *names))
    again = {"epochs": 1} if version == "old" else None
    files = ("m.keras", "d.npz", out)
    unlearn_file.unlearn_file(*files, method="finetune", classes=[1], retrain=again, say=None)


def audit(out, version, patch):
    patch.setattr(audit_file, "_audit", writing(version, *audit_file.FILES))
    audit_file.audit_file("m.keras", "u.keras", "d.npz", out, classes=[1], say=None)


def compare_(out, version, patch):
    seeds = (0, 1) if version == "old" else (0, 2)

    def audits(*args):
        for seed in seeds:
            scenario = SimpleNamespace(seed=seed, training=Training())
            run = SimpleNamespace(scenario=scenario, diverged=lambda references: {})
            yield run, Report(version), {}

    patch.setattr(compare, "_audits", audits)
    patch.setattr(compare, "environment", dict)
    patch.setattr(compare_figures, "figures", lambda *args: {"version": version})
    patch.setattr(compare_page, "write", lambda path, result: path.write_text(version))
    patch.setattr(compare_page, "table", lambda result: [])
    compare.compare("random", out=out, names=["finetune"], seeds=seeds, say=None)


def mnist(out, version, patch):
    split = SimpleNamespace(fingerprint=lambda: version)
    patch.setattr(mnist_retrain, "make_split", lambda *args: (split, None))
    patch.setattr(mnist_retrain, "_follow", lambda *args: {})
    patch.setattr(mnist_retrain, "environment", dict)
    patch.setattr(mnist_retrain, "summary", lambda result: [])
    mnist_retrain.mnist_retrain(out, say=None)


def cifar10(out, version, patch):
    split = SimpleNamespace(fingerprint=lambda: version)
    patch.setattr(cifar10_confuser, "make_split", lambda *args: split)
    patch.setattr(cifar10_confuser, "_backbone_weights", lambda folder: "")
    patch.setattr(cifar10_confuser, "_follow", writing(version, "report.json", "report.html"))
    cifar10_confuser.cifar10_confuser(out, say=None)


def demonstrate(out, version, patch):
    patch.setattr(demo, "_tasks", lambda *args: ([], ([], [])))
    patch.setattr(demo, "_train", lambda *args: None)
    patch.setattr(demo_page, "table", lambda tasks: [])
    patch.setattr(demo_page, "summary", lambda *args: {"version": version})
    patch.setattr(demo_page, "write", lambda path, *args: path.write_text(version))
    demo.demo(out, say=None)


COMMANDS = {
    "unlearn": unlearn,
    "audit": audit,
    "compare": compare_,
    "mnist-retrain": mnist,
    "cifar10-confuser": cifar10,
    "demo": demonstrate,
}


def there(folder):
    """Returns the content of the files to be seen, without the times that are written into some."""
    found = {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}
    return {
        name: [line for line in text.split("\n") if '"created"' not in line and "_s" not in line]
        for name, text in found.items()
    }


@pytest.fixture(params=COMMANDS)
def command(request):
    return request.param


def done(command, out, version):
    with pytest.MonkeyPatch.context() as patch:
        COMMANDS[command](out, version, patch)
    return there(out)


def test_a_kill_at_any_event(command, tmp_path):
    old = done(command, tmp_path / "start", "old")
    new = done(command, shutil.copytree(tmp_path / "start", tmp_path / "new"), "new")
    assert old != new
    ends = set()
    for number in itertools.count():
        out = shutil.copytree(tmp_path / "start", tmp_path / f"{number}")
        stubs, patch = pytest.MonkeyPatch(), pytest.MonkeyPatch()
        with stubs.context() as stubs, killed_at(number, patch) as events:
            COMMANDS[command](out, "new", stubs)
        seen = there(out)
        assert seen.items() <= old.items() or seen.items() <= new.items(), (events[-1], seen)
        check_output(out, command, list(old))  # any command that comes next
        assert there(out) in (old, new), events
        assert not [path for path in out.rglob("*") if "stage-" in path.name]
        ends.add("new" if there(out) == new else "old")
        if len(events) <= number:
            break
    assert ends == {"old", "new"}
    assert number > 20


def test_a_second_command_on_the_folder_is_refused(command, tmp_path, monkeypatch):
    old = done(command, tmp_path, "old")
    monkeypatch.setattr(compare, "_PATIENCE", 0.0)
    at_work = pytest.raises(Refused, match="another command is at work on the folder")
    with output(tmp_path, command, list(old)), at_work:
        done(command, tmp_path, "new")
    assert there(tmp_path) == old


def test_files_of_another_origin(command, tmp_path):
    name = next(iter(done(command, tmp_path / "start", "new")))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("mine")
    (tmp_path / "out" / "mine").write_text("mine")
    before = there(tmp_path / "out")
    with pytest.raises(Refused, match=rf"does not overwrite files that it did not write: .*{name}"):
        done(command, tmp_path / "out", "new")
    assert there(tmp_path / "out") == before
    assert name in Manifest.of(tmp_path / "start").files
    assert not (tmp_path / "out" / PRIVATE).exists()
