"""Claims that a lesson asserts, and the results that it records."""

import json

import pandas as pd
import pytest

from helpers import config, results

pytestmark = pytest.mark.usefixtures("home")
HISTORY = pd.DataFrame({"seconds": [1.24, 2.0], "validation_accuracy": [0.95, 0.912345]})


def record(model="MLP", lesson="02_mlp_baseline", test_accuracy=0.9):
    return results.record_result(
        lesson,
        model,
        parameters=535_818,
        train_images=50_000,
        history=HISTORY,
        test_accuracy=test_accuracy,
        test_loss=0.31416,
    )


def test_a_claim_that_holds_is_printed(capsys):
    results.claim("The MLP beats chance.", holds=True, fast=False)
    assert capsys.readouterr().out == "✓ The MLP beats chance.\n"


def test_a_false_claim_stops_a_full_run():
    with pytest.raises(AssertionError, match="contradicts the text: The MLP beats chance"):
        results.claim("The MLP beats chance.", holds=False, fast=True)


def test_fast_checks_the_weak_bound_and_says_so(monkeypatch, capsys):
    monkeypatch.setattr(config, "FAST", True)
    results.claim("The MLP beats chance.", holds=False, fast=True)
    assert "weak bound only" in capsys.readouterr().out
    with pytest.raises(AssertionError, match="not even the weak bound"):
        results.claim("The MLP beats chance.", holds=True, fast=False)


def test_a_result_is_recorded_with_every_figure():
    entry = record()
    assert entry == {
        "lesson": "02_mlp_baseline",
        "model": "MLP",
        "parameters": 535_818,
        "train_images": 50_000,
        "epochs": 2,
        "seconds": 3.2,
        "validation_accuracy": 0.9123,
        "test_accuracy": 0.9,
        "test_loss": 0.3142,
    }
    assert list(entry) == results.COLUMNS
    assert json.loads(results.results_path().read_text()) == [entry]


def test_a_rerun_replaces_its_own_entry_only():
    record("FashionNet", lesson="03_cnn_dropout")
    record("MLP", test_accuracy=0.8)
    record("FashionCNN", lesson="03_cnn_dropout")
    record("MLP", test_accuracy=0.9)
    entries = results.read_results(results.results_path())
    assert [entry["model"] for entry in entries] == ["MLP", "FashionNet", "FashionCNN"]  # by lesson
    assert entries[0]["test_accuracy"] == 0.9


def test_no_results_yet_are_an_empty_list(home):
    assert results.read_results(home / "nothing.json") == []


def test_recording_leaves_no_temporary_file():
    record()
    assert [path.name for path in config.RUNS_DIR.iterdir()] == ["results.json"]


def test_the_table_for_readers_shows_percent_and_thousands():
    row = results.results_table([record()]).iloc[0]
    assert row.to_dict() == {
        "lesson": "02_mlp_baseline",
        "model": "MLP",
        "parameters": "535,818",
        "training images": "50,000",
        "epochs": 2,
        "training time (s)": "3",
        "validation accuracy": "91.23%",
        "test accuracy": "90.00%",
        "test loss": "0.3142",
    }


def test_a_claim_without_a_bound_says_in_a_short_run_that_it_was_not_checked(monkeypatch, capsys):
    monkeypatch.setattr(config, "FAST", True)
    results.claim("water is wet", holds=False)
    assert capsys.readouterr().out == "FAST=1, not checked: water is wet\n"
