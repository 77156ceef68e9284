"""The recorded ladder: what a rung gained, what else it changed, how far seeds scatter, and the points of the race."""

from dataclasses import asdict, replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from torch import nn

from benchmarks import steps
from helpers import ladder, models
from helpers.recipes import RECIPES

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
    assert "Both carry the accuracy 91.00 %" in ladder.rung_in_words(table, "loader")
    assert "Both carry" not in ladder.rung_in_words(table, "better")
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
    """Return what differs between two steps: an optimizer, a schedule and a loss each come with their settings."""
    old, new = asdict(before.recipe), asdict(after.recipe)
    found = {name.removesuffix("_options") for name in old if old[name] != new[name]} - {"lesson"}
    decay = [recipe["optimizer_options"].get("weight_decay") for recipe in (old, new)]
    if "optimizer" in found and decay[0] != decay[1] and old["optimizer"] != new["optimizer"]:
        found.add("weight_decay")  # Adam and Muon can go without, or with it
    built = (before.build, after.build)
    # A network of `helpers.models` takes the place of one that was built for the ladder.
    found |= {"network"} if built[0] != built[1] else set()
    return found | ({"bfloat16"} if before.bfloat16 != after.bfloat16 else set())


def test_every_rung_changes_one_thing():
    for (_, before), (name, after) in pairwise(steps.STEPS.items()):
        assert len(changes(before, after)) == 1, name
    assert (
        steps.STEPS["Muon for the convolutions"].recipe == RECIPES["sprint"]
    )  # the ladder leads to the lesson's recipe


def test_a_rung_with_two_changes_is_noticed():
    leaner, cycle = steps.STEPS["a leaner network"], steps.STEPS["one-cycle schedule"]
    assert changes(steps.STEPS["no dropout"], leaner) == {"network", "optimizer"}  # and its rate
    assert changes(cycle, steps.STEPS["batch normalisation"]) == {"network", "epochs"}
    decayed = steps.STEPS["weight decay"]
    assert changes(leaner, decayed) == {"optimizer", "weight_decay"}
    assert changes(decayed, replace(decayed, bfloat16=False)) == {"bfloat16"}


def test_batch_norm_is_all_that_the_ladder_adds_to_fashion_cnn():
    plain, changed = models.FashionCNN(), steps.with_batch_norm()
    added = [layer for layer in changed if isinstance(layer, nn.BatchNorm2d)]
    assert [str(layer) for layer in changed if layer not in added] == [str(layer) for layer in plain]
    assert [layer.num_features for layer in added] == [32, 64]
    assert [type(layer) for layer in changed][:3] == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU]
    assert [layer.p for layer in steps.without_dropout() if isinstance(layer, nn.Dropout)] == [0]


def test_rungs_that_compute_the_same_are_told_so():
    table = ladder.read_ladder()
    assert table["same"].tolist()[: len(steps.SLOW) + 1] == [False, *[True] * len(steps.SLOW)]
    assert not table["same"].iloc[len(steps.SLOW) + 1 :].any()
    for about in ("whole batches", "memory is kept", "channels_last"):
        assert "it was measured only once" in ladder.rung_in_words(table, about)


def test_every_section_of_the_lesson_finds_its_rung():
    table = ladder.read_ladder()
    words = ["whole batches", "five times as high", "one-cycle", "5 epochs", "batch normalisation", "no dropout"]
    words += ["four times", "leaner network", "label smoothing", "random flips", "at test time"]
    for about in [*words, "channels_last", "bfloat16", "memory is kept", "Nesterov", "Muon"]:
        assert ladder.rung_in_words(table, about).count("Recorded: ") == 1


def test_a_high_rate_does_harm_and_the_cycle_repairs_it():  # as lesson 07 says of its recorded ladder
    gain = ladder.read_ladder()["gain"].dropna()
    largest = gain.abs().sort_values().index[-2:]
    assert set(largest) == {"a learning rate five times as high", "one-cycle schedule"}
    assert gain["a learning rate five times as high"] < -ladder.UNDECIDED
    assert gain["one-cycle schedule"] > ladder.UNDECIDED


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


def test_a_peer_is_ahead_if_none_of_ours_is_as_accurate_in_its_time():
    ours = {"short": (4.0, 0.90), "long": (40.0, 0.93)}
    peers = {"slow": (50.0, 0.92), "as quick": (40.0, 0.93), "quick": (9.0, 0.91), "best": (99.0, 0.95)}
    points = pd.DataFrame({**ours, **peers}, index=["seconds", "accuracy"]).T
    points["group"] = [ladder.OURS] * len(ours) + [ladder.WITH_NETWORK] * len(peers)
    assert ladder.peers_in_words(points) == (
        "Ours are ahead of 2 of 4 peers: as accurate at least, in no more time. Not of these: quick takes 9.0 s, where "
        "ours need 40.0 s for its accuracy; best is more accurate than any of ours, 95.0 % in 99 s."
    )
    assert ladder.peers_in_words(points.drop(["quick", "best"])).endswith("in no more time.")
