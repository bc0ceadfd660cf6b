"""Every notebook runs from top to bottom, on a few images."""

import json
import os
import pathlib

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = pathlib.Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
NEEDS = {
    "01_mnist_retrain": ["mnist.npz"],
    "02_cifar10_vision_confuser": ["cifar10.npz", "resnet50_notop.h5"],
    "03_audit_a_model": [],
    "04_compare_methods": [],
}
SHOWN = {  # what a short run must show too
    "01_mnist_retrain": ["Forget set size: 576 (90.0%)"],
    "02_cifar10_vision_confuser": [
        "the notebook's loop  : 0 convolutions",
        "models.iter_layers   : 53 convolutions",
        "WeightNoise reached 53 convolutions",
    ],
    "03_audit_a_model": [
        "Forget set size: 16 (10.0%)",
        "20 models without the forget set",
        "do nothing: Unchanged: its weights equal those of original byte for byte. Outside",
        "held-out retrain: ",
    ],
    "04_compare_methods": ["'forget': 8, 'retain': 152", "3 seeds", "do_nothing", "l1_sparse"],
}


def test_every_notebook_is_listed():
    assert [path.stem for path in NOTEBOOKS] == sorted(NEEDS)


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path, tmp_path, monkeypatch):
    folder = os.environ.get("TFUNLEARN_DATA_DIR", "")
    absent = [name for name in NEEDS[path.stem] if not (pathlib.Path(folder) / name).is_file()]
    if NEEDS[path.stem] and (absent or not folder):
        pytest.skip(f"needs {absent} in the folder named by TFUNLEARN_DATA_DIR")
    monkeypatch.setenv("TFUNLEARN_LIMIT", "640" if path.stem.startswith("01") else "160")
    monkeypatch.setenv("TFUNLEARN_RUN", str(tmp_path / "run"))
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    )
    client.execute()
    texts = [
        "".join(output.get("text", "") or output.get("data", {}).get("text/plain", ""))
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
    ]
    everything = "\n".join(texts)
    for words in SHOWN[path.stem]:
        assert words in everything


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_of_a_real_run_are_kept(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["execution_count"] for cell in cells), "run the notebook before committing it"
    shown = [cell for cell in cells if cell["outputs"]]
    assert len(shown) >= len(cells) // 2
    for cell in cells:
        for output in cell["outputs"]:
            assert output["output_type"] != "error"
            assert "stderr" not in output.get("name", ""), output
    assert "colab.research.google.com" in "".join(notebook["cells"][0]["source"])
