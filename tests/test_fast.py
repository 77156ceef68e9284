"""The fast recipes of lesson 07: schedule, loss, changes of the images, and that a seed repeats them."""

import pytest
import torch
from torch import nn

from helpers import augment, config, fast, models, training
from helpers.muon import Muon

pytestmark = pytest.mark.usefixtures("home")
RECIPE = {
    "model": "LogisticRegression",
    "epochs": 3,
    "batch_size": 16,
    "lr": 0.05,
    "other_lr": 0.2,
    "weight_decay": 0.001,
    "label_smoothing": 0.1,
    "augment": ["random_flip"],
}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setitem(fast.RECIPES, "small", RECIPE)


@pytest.mark.parametrize("name", ["sprint", "marathon"])
def test_the_recipes_can_be_built_and_name_changes_that_exist(name):
    recipe = fast.RECIPES[name]
    assert recipe.keys() == RECIPE.keys()
    images = torch.randint(0, 256, (4, 1, 28, 28), dtype=torch.uint8)
    assert fast.augment_with(recipe["augment"])(images).shape == images.shape
    assert isinstance(getattr(fast.models, recipe["model"])(), nn.Module)


def test_train_fast_learns_without_looking_at_validation_images(stripes):
    _, history = fast.train_fast("small", stripes(160))
    assert history["epoch"].tolist() == [1, 2, 3]
    assert history["train_accuracy"].iloc[-1] > 0.8
    assert "validation_accuracy" not in history
    assert "validation_accuracy" in fast.train_fast("small", stripes(160), stripes(20))[1]


def test_the_learning_rate_rises_over_a_quarter_of_the_batches_and_falls_to_nothing(stripes, monkeypatch):
    rates = []

    def noted(optimizer):
        rates.append(optimizer.param_groups[1]["lr"])
        return step(optimizer)

    step = Muon.step
    monkeypatch.setattr(Muon, "step", noted)
    fast.train_fast("small", stripes(16 * 20))
    assert len(rates) == 60
    assert rates[0] == pytest.approx(0.2 / 25) and max(rates) == pytest.approx(0.2) and rates[-1] < 1e-5
    top = rates.index(max(rates))
    assert top == 14  # a quarter of 60, counted from 0
    assert rates[:15] == sorted(rates[:15]) and rates[14:] == sorted(rates[14:], reverse=True)


def test_the_seed_decides_everything(stripes):
    weights = [fast.train_fast("small", stripes(48), seed=seed)[0][1].weight for seed in (1, 1, 2)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_the_recipes_settings_reach_fit(stripes, monkeypatch):
    seen = {}
    monkeypatch.setattr(fast, "fit", lambda *values, **named: seen.update(named, values=values))
    fast.train_fast("small", stripes(48), seed=3)
    optimizer, epochs, batch_size = seen["values"][3:]
    assert (epochs, batch_size, seen["seed"]) == (3, 16, 3)
    assert isinstance(optimizer, Muon) and optimizer.defaults == {"momentum": 0.9, "weight_decay": 0.001}
    torch.manual_seed(3)
    assert torch.equal(seen["values"][0][1].weight, models.LogisticRegression()[1].weight)
    assert [group["max_lr"] for group in optimizer.param_groups] == [0.05, 0.2]
    assert seen["loss_function"].label_smoothing == 0.1
    images = torch.randint(0, 256, (64, 1, 28, 28), dtype=torch.uint8)
    torch.manual_seed(0)
    changed = seen["augment"](images)
    torch.manual_seed(0)
    assert torch.equal(changed, augment.random_flip(images))


def test_a_short_run_trains_for_few_epochs(stripes, monkeypatch, capsys):
    monkeypatch.setattr(config, "FAST", True)
    assert len(fast.train_fast("small", stripes(48))[1]) == config.FAST_EPOCHS
    assert "FAST=1" in capsys.readouterr().out
    assert fast.fit is training.fit
