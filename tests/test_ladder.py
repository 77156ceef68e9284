"""The recorded ladder: what a rung gained, what else it changed, how far seeds scatter, and the points of the race."""

from dataclasses import asdict
from itertools import pairwise

import numpy as np
import pytest

from benchmarks import steps
from helpers import ladder

ENTRIES = [
    {"step": "slow", "epochs": 20, "seconds": [100.0, 90.0, 120.0], "accuracies": [0.90, 0.91, 0.92]},
    {"step": "quick loader", "epochs": 20, "seconds": [50.0, 60.0, 40.0], "accuracies": [0.90, 0.91, 0.92]},
    {"step": "a better idea", "epochs": 5, "seconds": [10.0, 10.0, 10.0], "accuracies": [0.92, 0.93, 0.94]},
    {"step": "a small idea", "epochs": 5, "seconds": [10.0, 10.0, 10.0], "accuracies": [0.922, 0.932, 0.942]},
]


def test_a_rung_is_compared_with_the_one_before_it():
    table = ladder.read_ladder(ENTRIES)
    assert table.index.tolist() == ["slow", "quick loader", "a better idea", "a small idea"]
    assert table["time"].tolist() == [100, 50, 10, 10]
    assert table["ratios"].iloc[0] == [] and table["ratios"].iloc[1] == pytest.approx([2, 1.5, 3])
    assert table["faster"].iloc[1:].tolist() == pytest.approx([2, 5, 1])  # medians of 2, 1.5 and 3; of 5, 6 and 4
    assert table["mean"].tolist() == pytest.approx([91, 91, 93, 93.2])
    assert table["std"].tolist() == pytest.approx([1, 1, 1, 1])
    assert table["gain"].iloc[1:].tolist() == pytest.approx([0, 2, 0.2])
    assert table["same"].tolist() == [False, True, False, False]


def test_a_rung_in_words_says_its_numbers_and_whether_they_decide():
    table = ladder.read_ladder(ENTRIES)
    assert "100 s → 50 s, 2.00 times as fast (1.50 to 3.00 over the rounds). " in ladder.rung_in_words(table, "loader")
    assert "the networks are the same" in ladder.rung_in_words(table, "loader")
    assert "Both carry" not in ladder.rung_in_words(table, "loader")
    assert "**+2.00 points**, decided." in ladder.rung_in_words(table, "better")
    assert "**+0.20 points**, below our bound, so not decided." in ladder.rung_in_words(table, "small")
    both = ladder.rung_in_words(table, "idea").split("\n\n")
    assert [text.split(".")[0] for text in both] == ["**Recorded: a better idea", "**Recorded: a small idea"]
    assert ladder.rung_in_words(table, "cache") == "*No rung about cache has been measured yet.*"


def test_rounds_that_do_not_agree_are_told():
    faster, slower, crossing, rounded = (
        [90.0, 89.0, 119.0],
        [110.0, 99.0, 130.0],
        [90.0, 99.0, 110.0],
        [110.0, 89.9, 130.0],
    )
    for seconds, agree in ((faster, True), (slower, True), (crossing, False), (rounded, True)):
        table = ladder.read_ladder([ENTRIES[0], {**ENTRIES[1], "seconds": seconds}])
        assert ("do not agree whether it is faster)" in ladder.rung_in_words(table, "loader")) != agree


def test_runs_that_stand_on_several_rungs_count_once_in_the_scatter():
    entries = [*ENTRIES[:2], {**ENTRIES[2], "accuracies": [0.90, 0.93, 0.96]}]
    scatter, distinct = ladder.scatter_between_seeds(ladder.read_ladder(entries))
    assert distinct == 2 and scatter == pytest.approx(np.sqrt((1 + 9) / 2))


def changes(before, after):
    """Return what differs between two recipes, each option by itself; what any optimizer needs belongs to it."""
    old, new = asdict(before), asdict(after)
    found = {name for name in old if old[name] != new[name] and not name.endswith("_options") and name != "lesson"}
    for name in ("optimizer_options", "loss_options"):
        options = {option for option in {**old[name], **new[name]} if old[name].get(option) != new[name].get(option)}
        if "optimizer" in found:
            options -= {"lr", "other_lr", "momentum", "nesterov"}
        found |= options
    return found


def test_every_rung_that_changes_more_than_its_name_says_is_told():
    recipes = list(steps.STEPS.items())
    several = {name for (_, before), (name, after) in pairwise(recipes) if len(changes(before, after)) > 1}
    assert set(ladder.MORE_CHANGES) - {recipes[0][0]} == several  # the first one names both of its changes
    assert set(ladder.MORE_CHANGES) <= set(ladder.read_ladder().index)


def test_an_accuracy_that_was_copied_is_not_told_as_measured():
    assert list(ladder.TIMED_ONLY) == steps.SLOW
    table = ladder.read_ladder()
    for about in ("whole batches", "channels_last"):
        text = ladder.rung_in_words(table, about)
        assert "it was measured only once" in text and "stays at" not in text
    assert "The accuracy stays at" in ladder.rung_in_words(table, "memory is kept")  # trained, too


def test_every_section_of_the_lesson_finds_its_rung():
    table = ladder.read_ladder()
    words = ["whole batches", "one-cycle", "leaner network", "label smoothing", "random flips", "at test time"]
    for about in [*words, "channels_last", "memory is kept", "Nesterov", "Muon"]:
        assert "has been measured" not in ladder.rung_in_words(table, about)


def test_a_training_in_pieces_is_one_point_of_the_race():
    sources = [{"recipe": "MLP", "seconds": 20.0, "test_accuracy": [0.8, 0.9]}]
    race = [
        {"recipe": "FashionCNN", "seconds": [5.0] * 4, "epochs": [1, 4], "test_accuracy": 0.9},
        {"recipe": "sprint", "seconds": 40.0, "epochs": 5, "test_accuracy": 0.92, "test_accuracy_with_flips": 0.93},
        {"recipe": "FashionCNN", "seconds": [6.0] * 16, "epochs": [5, 20], "test_accuracy": 0.92},
    ]
    points = ladder.race_points(sources, race)
    rows = [[name, seconds, round(accuracy, 6)] for name, seconds, accuracy in points.values.tolist()]
    assert rows == [["MLP", 20.0, 90.0], ["FashionCNN", 116.0, 92.0], ["sprint", 40.0, 93.0]]
    # A training that has not come to its end has no point.
    assert "FashionCNN" not in ladder.race_points(sources, race[:2])["recipe"].tolist()


def test_a_benchmark_that_was_not_recorded_has_no_entries():
    assert ladder.recorded("nothing") == [] and len(ladder.recorded("ladder")) == len(ladder.read_ladder())
