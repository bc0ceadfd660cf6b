"""The README's code runs as it stands, and its tables are those of the committed results."""

import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def example(name):
    found = re.search(rf"<!-- example:{name} -->\n```python\n(.*?)```", README, re.DOTALL)
    assert found, f"no example {name}"
    return found[1]


def test_quick_start_is_five_lines():
    lines = [line for line in example("quickstart").splitlines() if line.strip()]
    assert len(lines) == 1 + 5  # the import, and five lines


def test_examples_run_as_they_stand(capsys):
    names = {}
    for name in ("given", "quickstart", "parts"):
        exec(compile(example(name), f"README example {name}", "exec"), names)
    printed = capsys.readouterr().out
    for word in ("original", "vision_confuser", "retrained"):
        assert word in printed
    assert names["models"].weight_distance(names["model"], names["noisy"]) > 1.0


@pytest.mark.slow
def test_the_audit_runs_as_it_stands(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for name in ("given", "quickstart", "bank"):
        exec(compile(example(name), f"README example {name}", "exec"), names)
    assert "spread of 19 retrained models" in capsys.readouterr().out
    assert names["report"].evidence["held-out retrain"].verdict.references == 19
    assert (tmp_path / "audit.html").is_file()


def test_tables_are_those_of_the_results():
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "tables.py"), "--check"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_contributing_example_passes_the_contract():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    code = re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]
    assert len(code.splitlines()) < 40
    exec(compile(code, "CONTRIBUTING example", "exec"), {"__name__": "__main__"})
