"""Finding a bank by its model and its data."""

import json

import pytest

from tfunlearn.audit import ReferenceBank, find_bank, marks

from . import bank_parts as parts


@pytest.fixture
def bank(tmp_path):
    """A bank with settings of its own; its settings are written, nothing is made."""
    own = {"epochs": 3, "batch_size": 7, "seed": 11, "roles": ["forget", "test"]}
    own |= {"dtype": "float16", "keep_weights": True, "threads": 2}
    found = ReferenceBank(tmp_path, parts.make_net(), parts.make_split(), **own)
    found._entries.write_settings(found.settings)
    return found


def test_a_bank_is_found_with_its_settings(bank, tmp_path):
    other = parts.make_split(seed=1)
    second = ReferenceBank(tmp_path, parts.make_net(), other)
    second._entries.write_settings(second.settings)
    found = find_bank(tmp_path, parts.make_net(), parts.make_split())
    assert found.settings == bank.settings
    assert found.folder == bank.folder
    assert find_bank(tmp_path, parts.make_net(), other).folder == second.folder


def test_what_differs_is_named(bank, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="differs in training optimizer"):
        find_bank(tmp_path, parts.make_net(optimizer="adam"), parts.make_split())
    with pytest.raises(ValueError, match="differs in data forget, data retain, data test"):
        find_bank(tmp_path, parts.make_net(), parts.make_split(seed=1))
    monkeypatch.setattr(marks, "code", lambda: "other")
    with pytest.raises(ValueError, match=r"differs in code\."):
        find_bank(tmp_path, parts.make_net(), parts.make_split())


def test_several_banks_are_an_error(bank, tmp_path):
    second = ReferenceBank(tmp_path, parts.make_net(), parts.make_split(), epochs=1)
    second._entries.write_settings(second.settings)
    with pytest.raises(ValueError, match=r"expected one bank .* Received 2"):
        find_bank(tmp_path, parts.make_net(), parts.make_split())


def test_no_bank_or_a_damaged_one_is_an_error(bank, tmp_path):
    with pytest.raises(FileNotFoundError, match="expected a folder with banks"):
        find_bank(tmp_path / "nowhere", parts.make_net(), parts.make_split())
    path = bank.folder / "bank.json"
    for content in ("{", json.dumps({"settings": {}}), "[]"):
        path.write_text(content)
        with pytest.raises(ValueError, match="cannot be used"):
            find_bank(tmp_path, parts.make_net(), parts.make_split())
