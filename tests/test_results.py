"""Claims that a lesson asserts, and the results that it records."""

import json
from pathlib import Path

import numpy as np
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


def test_a_false_claim_is_told_with_its_numbers_and_stops_no_full_run(capsys):
    scores = {"MLP": 0.0871, "chance": 0.1}
    results.claim("The MLP beats chance.", holds=scores["MLP"] > scores["chance"] + 0.01, fast=True)
    assert capsys.readouterr().out == (
        "✗ This did not hold in this run: The MLP beats chance. "
        "Found: scores['MLP'] = 0.0871, scores['chance'] + 0.01 = 0.11.\n"
    )


def test_the_numbers_of_a_claim_are_found_in_each_kind_of_condition(capsys):
    table = pd.DataFrame({"f1": [0.7, 0.9]}, index=["Shirt", "Bag"])
    agreed = np.bool_(False)
    results.claim("Bag is worst.", table["f1"].idxmin() == "Bag" and table["f1"].mean() < 1)
    results.claim("Both agree.", holds=agreed)
    value = 0.95
    results.claim("All are high.", holds=all(value > 0.8 for value in table["f1"]))
    results.claim("Both are low.", not (table["f1"] > np.array(0.71234567)).any())
    results.claim(*["Sixty.", value > 60])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("Found: table['f1'].idxmin() = Shirt, table['f1'].mean() = 0.8.")
    assert lines[1].endswith("Found: agreed = False.")
    # Inside the loop `value` is another one.
    assert "0.95" not in lines[2] and lines[2].startswith("✗ This did not hold in this run: All are high.")
    assert lines[3].endswith("Found: table['f1'] = [0.7, 0.9], np.array(0.71234567) = 0.7123.")
    assert lines[4].endswith("Sixty.")


def test_a_false_claim_without_source_is_told_all_the_same(capsys):
    exec(compile("claim('Two is one.', holds=2 == 1)", "<no source>", "exec"), {"claim": results.claim})
    assert capsys.readouterr().out == "✗ This did not hold in this run: Two is one.\n"


def test_a_false_claim_is_told_even_where_python_drops_asserts(monkeypatch, capsys):
    source = Path(results.__file__).read_text(encoding="utf-8")
    optimized = {"__name__": "results"}
    exec(compile(source, results.__file__, "exec", optimize=2), optimized)
    optimized["claim"]("2 + 2 = 5", holds=False, fast=False)
    assert capsys.readouterr().out.startswith("✗ This did not hold in this run: 2 + 2 = 5")
    monkeypatch.setattr(config, "FAST", True)
    with pytest.raises(AssertionError, match="2 \\+ 2"):
        optimized["claim"]("2 + 2 = 5", holds=False, fast=False)


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


def test_the_same_model_in_two_lessons_and_two_models_of_a_lesson_all_stay():
    pairs = [("02_mlp_baseline", "MLP"), ("03_cnn_dropout", "FashionNet"), ("05_error_analysis", "MLP")]
    for lesson, model in [*reversed(pairs), *pairs]:
        record(model, lesson=lesson, test_accuracy=0.8)
    record("MLP", lesson="05_error_analysis", test_accuracy=0.7)
    entries = results.read_results(results.results_path())
    assert [(entry["lesson"], entry["model"]) for entry in entries] == pairs
    assert [entry["test_accuracy"] for entry in entries] == [0.8, 0.8, 0.7]


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


def test_the_scoreboard_starts_with_people_and_a_rerun_replaces_an_entry():
    assert results.scoreboard()["name"].tolist() == ["people"]
    results.record_score("nearest class mean", 680, 1000)
    results.record_score("nearest class mean", 690, 1000)
    results.record_score("MLP", 900, 1000)
    table = results.scoreboard()
    assert table["name"].tolist() == ["nearest class mean", "people", "MLP"]
    assert table["accuracy"].tolist() == [0.69, 0.835, 0.9]
    people = table.iloc[1]
    assert (round(people["low"], 3), round(people["high"], 3)) == (0.811, 0.857)


@pytest.mark.parametrize(("right", "images"), [(11, 10), (-1, 10), (0, 0)])
def test_a_score_that_cannot_be_is_refused(right, images):
    with pytest.raises(ValueError, match="cannot be right"):
        results.record_score("somebody", right, images)


def test_scores_on_the_test_set_come_with_their_intervals_and_from_the_worst_to_the_best():
    record("FashionNet", lesson="03_cnn_dropout", test_accuracy=0.92)
    record("MLP", test_accuracy=0.9)
    record("SimpleCNN", lesson="06_training_diagnostics", test_accuracy=0.5)
    table = results.scores_on_test(["FashionNet", "MLP", "FashionCNN"], images=1_000)
    assert table["name"].tolist() == ["MLP", "FashionNet"] and table["accuracy"].tolist() == [0.9, 0.92]
    assert table.loc[0, ["low", "high"]].tolist() == pytest.approx([0.8798, 0.9171], abs=1e-4)  # Wilson, by hand
    assert np.isnan(results.scores_on_test(["unknown"], images=10)["high"].max())


HEADLINE = {"value": 2.1, "low": 1.4, "high": 2.9, "unit": "points", "how": "3 seeds"}


def test_a_headline_stands_beside_the_models_and_a_rerun_replaces_it(home):
    results.record_headline("08_augmentation", "what shifts add", **HEADLINE)
    results.record_headline("08_augmentation", "what shifts add", **HEADLINE | {"value": 2.2})
    record()
    path = results.results_path()
    assert [entry["lesson"] for entry in results.read_entries(path)] == ["02_mlp_baseline", "08_augmentation"]
    # What lessons and students read of the models knows nothing of headlines.
    assert [entry["model"] for entry in results.read_results(path)] == ["MLP"]
    assert results.scores_on_test(["MLP"], 10_000)["name"].tolist() == ["MLP"]
    [row] = results.headlines_table(results.read_headlines(path)).values.tolist()
    assert row == ["08_augmentation", "what shifts add", "2.2 points", "1.4 to 2.9", "3 seeds"]


@pytest.mark.parametrize("value", [1.0, 3.0])
def test_a_headline_outside_its_interval_is_refused(home, value):
    with pytest.raises(ValueError, match=r"within 1\.4 to 2\.9"):
        results.record_headline("08_augmentation", "what shifts add", **HEADLINE | {"value": value})
    assert not results.results_path().exists()
