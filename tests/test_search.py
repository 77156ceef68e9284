"""The search for a shorter sprint: what it trains, what it refuses, and what an interrupted one still knows."""

import pytest
import torch
from torch.utils.data import TensorDataset

from benchmarks import record, search
from helpers.data import load_split
from helpers.recipes import train_recipe

EVEN = {f"{widths}; {size}": 1e-5 for widths in search.SPACE["widths"].choices for size in (64, 128, 256)}


@pytest.fixture
def results(tmp_path, monkeypatch):
    """Send the results to a folder of the test."""
    monkeypatch.setattr(record, "RESULTS", tmp_path / "results")


@pytest.fixture(scope="module")
def few():
    return tuple(TensorDataset(*(part[:512] for part in load_split(name).tensors)) for name in ("train", "validation"))


class Given:
    """A trial with given settings, which is told to stop once its accuracy is below a bound."""

    def __init__(self, params, bound=0.0):
        self.params, self.bound, self.reported = params, bound, {}

    def report(self, value, quarter):
        assert quarter not in self.reported
        self.reported[quarter] = value

    def should_prune(self):
        return max(self.reported.values()) < self.bound


def test_the_sprint_is_a_point_of_the_searched_space(few):
    settings = search.settings_of_the_sprint()
    assert settings.keys() == search.SPACE.keys()
    assert all(kind._contains(kind.to_internal_repr(settings[name])) for name, kind in search.SPACE.items())
    assert search.recipe_of(settings, search.SPRINT.seed) == search.SPRINT
    ours, (of_the_series, _) = search.train(settings, 0, few[0]), train_recipe(search.SPRINT, few[0])
    for name, value in of_the_series.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value), name


def test_time_is_that_of_the_epochs_and_of_an_image():
    sprint = search.settings_of_the_sprint()
    costs = EVEN | {"16, 32, 64; 256": 4e-6}
    assert search.share_of_sprint(sprint, costs) == 1
    assert search.share_of_sprint(sprint | {"epochs": 3}, costs) == pytest.approx(0.6)
    quicker = sprint | {"widths": "16, 32, 64", "batch_size": 256}
    assert search.share_of_sprint(quicker, costs) == pytest.approx(0.4)


def test_what_takes_too_long_is_not_trained_and_an_interrupted_search_goes_on(results, few, monkeypatch):
    trained = []
    run_trial = search.run_trial
    monkeypatch.setattr(
        search, "run_trial", lambda trial, *data: trained.append(trial.params) or run_trial(trial, *data)
    )
    monkeypatch.setattr(search, "TRIALS", 2)
    search.search(EVEN, *few)
    assert [settings["epochs"] for settings in trained] == [3, 3]  # 4 and 5 take 0.8 of the sprint's time, and all
    monkeypatch.setattr(search, "TRIALS", 4)
    known = search.new_study().trials
    assert [trial.params for trial in known] == trained
    assert all(trial.value > 0 and trial.intermediate_values for trial in known)
    search.search(EVEN, *few)
    assert len(trained) == len(record.read("search")) == 4
    assert len({tuple(settings.items()) for settings in trained}) == 4


def test_a_trial_that_falls_behind_or_explodes_is_stopped_and_has_no_accuracy(few):
    settings = search.settings_of_the_sprint()
    finished = search.run_trial(Given(settings), *few)
    assert finished["state"] == "COMPLETE" and 0 < finished["accuracy_with_flips"] < 1
    behind = search.run_trial(Given(settings, bound=2.0), *few)
    assert behind["state"] == "PRUNED" and behind["accuracy_with_flips"] is None and len(behind["quarters"]) == 1
    assert search.run_trial(Given(settings | {"other_lr": 1e30}), *few)["state"] == "PRUNED"


def test_the_table_tells_the_luck_of_the_chosen_from_what_fresh_seeds_reach(results, monkeypatch):
    sprint = search.settings_of_the_sprint()
    record.measure_once("search", {"kind": "costs"}, lambda: {"seconds_an_image": EVEN})
    for number, (reached, state) in enumerate([(0.91, "COMPLETE"), (0.93, "COMPLETE"), (None, "PRUNED")]):
        entry = {"settings": sprint | {"epochs": 3}, "state": state, "accuracy_with_flips": reached, "seconds": 60}
        record.measure_once("search", {"kind": "trial", "number": number}, lambda entry=entry: entry)
    assert [entry["number"] for entry in search.best_trials()] == [1, 0]
    assert search.search_goals() == []
    reached = {"sprint": (0.92, 10.0), "trial 1": (0.915, 6.0), "trial 0": (0.922, 6.5)}
    for name, (accuracy, seconds) in reached.items():
        for seed in search.FRESH_SEEDS:
            key = {"kind": "again", "recipe": name, "seed": seed}
            found = {"accuracy_with_flips": accuracy, "seconds": seconds}
            record.measure_once("search", key, lambda found=found: found)
    text = search.search_table()
    assert text.startswith("3 trials trained, of which 2 to their end; the others fell behind. Together 3 minutes.")
    assert "| trial 1 | 93.00 | 91.50 ± 0.00 | 0.60 | 0.60 (0.60 to 0.60) |" in text
    assert "best was chosen at 93.00 %; trained again it reaches 91.50 %." in text
    [(_, measured, met)] = search.search_goals()
    assert measured == "+0.20 points in 0.65 of the time (trial 0)" and met
    monkeypatch.setattr(search, "BUDGET", 0.6)
    assert not search.search_goals()[0][2]
