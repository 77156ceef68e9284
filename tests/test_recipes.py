"""Recipes: each is what its lesson trains in the open, a training by it repeats, and a trained network is loaded."""

import ast
import inspect
import math
from dataclasses import fields, replace
from functools import partial

import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from committed import read_committed
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR, StepLR
from torch.utils.data import TensorDataset

from helpers import augment, checkpoints, config, models, muon, recipes, training
from helpers.device import get_device, set_seed
from helpers.muon import Muon
from helpers.recipes import RECIPES, Recipe

pytestmark = pytest.mark.usefixtures("home")
NOTEBOOKS = config.NOTEBOOKS_DIR
HISTORY = pd.DataFrame({"epoch": [1, 2], "train_loss": [0.5, 0.4], "seconds": [1.0, 1.0]})
SMALL = Recipe(
    lesson="02_mlp_baseline",
    network="LogisticRegression",
    epochs=3,
    batch_size=16,
    optimizer="Muon",
    optimizer_options={"lr": 0.05, "other_lr": 0.2, "momentum": 0.9, "weight_decay": 0.001},
    schedule="OneCycleLR",
    schedule_options={"pct_start": 0.25, "cycle_momentum": False},
    loss_options={"label_smoothing": 0.1},
    augment=("random_flip",),
)

# The line by which the cell of a lesson is found that trains a recipe, written out in the open.
TRAINS = {
    "mlp": "mlp = MLP().to(device)",
    "fashion_net": "net = FashionNet().to(device)",
    "fashion_cnn": "cnn = FashionCNN(dropout=0.5).to(device)",
    "batchnorm_cnn": "model = BatchNormCNN().to(device)",
    "simple_cnn": "scheduler = StepLR(optimizer, step_size=8, gamma=0.1)",
    "sprint": "in_the_open = fit(",
}
LOGITS = torch.arange(40.0).sin().reshape(4, 10)
IMAGES = torch.arange(64 * 784).reshape(64, 1, 28, 28).remainder(251).to(torch.uint8)


def sources(lesson):
    notebook = read_committed(NOTEBOOKS / f"{lesson}.ipynb")
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def cell_of(name):
    """Return the lesson and the cell in which a recipe is trained in the open."""
    [found] = [(lesson, source) for lesson in config.LESSONS for source in sources(lesson) if TRAINS[name] in source]
    return found


def images_of(lesson):
    """Return how many images a lesson trains on, as its own line that loads them says."""
    calls = {
        ast.unparse(node)
        for source in sources(lesson)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and ast.unparse(node).startswith("load_split('train'")
    }
    [call] = calls
    return eval(call, {"load_split": lambda name, validation_size=10_000: 60_000 - validation_size})


def as_the_lesson_trains(source, images, **more_names):
    """Run the cell of a lesson that trains, with a `fit` that only notes what it is given; return that."""
    noted = {}

    def noting_fit(*values, **named):
        call = inspect.signature(training.fit).bind(*values, **named)
        call.apply_defaults()
        noted.update(call.arguments)
        return HISTORY

    rows = TensorDataset(torch.empty(images, 0))
    names = {name: getattr(models, name) for name in ("MLP", "FashionNet", "FashionCNN", "BatchNormCNN", "SimpleCNN")}
    names |= {"torch": torch, "nn": nn, "F": F, "math": math, "StepLR": StepLR, "OneCycleLR": OneCycleLR}
    names |= {"models": models, "augment": augment, "muon": muon, "RECIPES": RECIPES, "device": get_device()}
    names |= {"train": rows, "part": rows, "validation": None, "log_dir": None}
    names |= {"fit": noting_fit, "set_seed": set_seed, "save_checkpoint": lambda *values: None}
    names |= {"start_log": lambda: None}
    names |= more_names
    torch.manual_seed(123)  # a cell that fixes no seed must not meet the right one by luck
    exec(compile(source, "the lesson", "exec"), names)
    return noted


def settings(optimizer):
    groups = [{key: value for key, value in group.items() if key != "params"} for group in optimizer.param_groups]
    return type(optimizer), groups


def loss_of(loss_fn):
    return loss_fn(LOGITS.log_softmax(dim=1), torch.tensor([1, 3, 5, 7])).item()


def changed_by(change):
    torch.manual_seed(5)
    return IMAGES if change is None else change(IMAGES)


def differences(lesson, noted, recipe):
    """Return in which fields of a recipe a training differs from it, by what they do, not how they are written."""
    model = recipes.make_model(recipe)
    optimizer = recipes.make_optimizer(recipe, model)
    schedules = {"scheduler": None, "batch_scheduler": None} | recipes.make_schedule(recipe, optimizer, recipe.images)
    same = {
        "lesson": lesson == recipe.lesson,
        "network": str(noted["model"]) == str(model),  # with the share of a dropout
        "epochs": noted["epochs"] == recipe.epochs,
        "batch_size": noted["batch_size"] == recipe.batch_size,
        "images": len(noted["train"]) == recipe.images,
        "optimizer": type(noted["optimizer"]) is type(optimizer)
        and settings(noted["optimizer"]) == settings(optimizer),
        "loss": loss_of(noted["loss_fn"])
        == pytest.approx(loss_of(partial(getattr(F, recipe.loss), **recipe.loss_options)), rel=1e-6),
        "augment": torch.equal(changed_by(noted["augment"]), changed_by(recipes.make_augment(recipe))),
        "seed": noted["seed"] == recipe.seed,
    }
    for kind, schedule in schedules.items():
        theirs = noted[kind]
        same["schedule"] = same.get("schedule", True) and type(theirs) is type(schedule)
        if same["schedule"] and schedule is not None:
            same["schedule"] = theirs.state_dict() == schedule.state_dict()
    if same["network"]:
        pairs = zip(noted["model"].parameters(), model.parameters(), strict=True)
        same["seed"] &= all(torch.equal(*pair) for pair in pairs)
    return [name for name, is_same in same.items() if not is_same]


@pytest.fixture(scope="module")
def trained_in_the_open():
    """Give of each recipe the lesson, the cell there, and what that cell trains."""
    found = {}
    for name in TRAINS:
        lesson, source = cell_of(name)
        found[name] = lesson, source, as_the_lesson_trains(source, images_of(lesson))
    return found


def test_every_recipe_is_trained_in_the_open_but_the_one_that_no_lesson_trains():
    assert {*RECIPES} - {*TRAINS} == {"marathon"}  # measured in the benchmarks, and shown in a figure of lesson 07
    assert RECIPES["marathon"].lesson == RECIPES["sprint"].lesson


@pytest.mark.parametrize("name", TRAINS)
def test_a_lesson_trains_by_its_recipe(name, trained_in_the_open):
    lesson, _, noted = trained_in_the_open[name]
    assert differences(lesson, noted, RECIPES[name]) == []


OTHER = {
    "lesson": "01_data_exploration",
    "network": "ResidualCNN",
    "epochs": 7,
    "batch_size": 100,
    "images": 40_000,
    "optimizer": "RMSprop",
    "schedule": "ExponentialLR",
    "schedule_options": {"gamma": 0.5},
    "loss": "multi_margin_loss",
    "augment": ("random_erase",),
    "seed": 99,
}


def other_values(recipe):
    """Give every recipe that differs from this one in one value."""
    for field in fields(Recipe):
        value = getattr(recipe, field.name)
        if isinstance(value, dict):
            for option in value:
                changed = not value[option] if isinstance(value[option], bool) else value[option] * 2
                yield f"{field.name}, {option}", {field.name: value | {option: changed}}
        else:
            changes = {field.name: OTHER[field.name]}
            if field.name == "optimizer":
                changes["optimizer_options"] = {"lr": recipe.optimizer_options["lr"]}
            if field.name == "loss":
                changes["loss_options"] = {}
            if field.name == "schedule":
                changes["schedule_options"] = OTHER["schedule_options"]
            yield field.name, changes


@pytest.mark.parametrize("name", TRAINS)
def test_a_value_that_is_changed_in_a_recipe_is_noticed(name, trained_in_the_open):
    lesson, _, noted = trained_in_the_open[name]
    missed = [
        what
        for what, changes in other_values(RECIPES[name])
        if not differences(lesson, noted, replace(RECIPES[name], **changes))
    ]
    assert missed == []


@pytest.mark.parametrize("name", TRAINS)
def test_a_number_that_is_changed_in_a_lesson_is_noticed(name, trained_in_the_open):
    lesson, source, _ = trained_in_the_open[name]
    numbers = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant) and type(node.value) in (int, float)
    ]
    assert len(numbers) >= 3
    missed = []
    for number in numbers:
        lines = source.split("\n")
        line = lines[number.lineno - 1]
        other = number.value / 2 if number.value < 1 else number.value + 1
        lines[number.lineno - 1] = f"{line[: number.col_offset]}{other}{line[number.end_col_offset :]}"
        noted = as_the_lesson_trains("\n".join(lines), images_of(lesson))
        if not differences(lesson, noted, RECIPES[name]):
            missed.append(line.strip())
    assert missed == []


@pytest.mark.parametrize("name", TRAINS)
def test_a_lesson_that_fixes_no_seed_is_noticed(name, trained_in_the_open):
    lesson, source, _ = trained_in_the_open[name]
    assert source.count("set_seed()") == 1
    noted = as_the_lesson_trains(source.replace("set_seed()", "pass"), images_of(lesson))
    assert differences(lesson, noted, RECIPES[name]) == ["seed"]


@pytest.fixture
def small(monkeypatch):
    """Add a small recipe."""
    monkeypatch.setitem(RECIPES, "small", SMALL)


@pytest.fixture
def loaded_or_trained(small, monkeypatch, stripes):
    """Let `load_or_train` train a small network on small data."""
    monkeypatch.setattr(recipes, "load_split", lambda name, size: stripes(100 if name == "train" else 50))


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_can_be_built_and_is_kept_with_its_network(name):
    recipe = RECIPES[name]
    assert recipe.lesson in config.LESSONS
    model = recipes.make_model(recipe)
    recipes.make_schedule(recipe, recipes.make_optimizer(recipe, model), 1_000)
    change = recipes.make_augment(recipe)
    assert change is None or change(IMAGES).shape == IMAGES.shape
    path = checkpoints.save_checkpoint(name, model, recipe, pd.concat([HISTORY] * recipe.epochs))
    kept = torch.load(path, weights_only=True)["recipe"]
    assert Recipe(**kept | {"augment": tuple(kept["augment"])}) == recipe


def test_a_training_learns_without_looking_at_validation_images(stripes):
    _, history = recipes.train_recipe(SMALL, stripes(160))
    assert history["epoch"].tolist() == [1, 2, 3]
    assert history["train_accuracy"].iloc[-1] > 0.8
    assert "validation_accuracy" not in history
    assert "validation_accuracy" in recipes.train_recipe(SMALL, stripes(160), stripes(20))[1]


def test_the_learning_rate_rises_over_a_quarter_of_the_batches_and_falls_to_nothing(stripes, monkeypatch):
    rates = []

    def noted(optimizer):
        rates.append(optimizer.param_groups[1]["lr"])
        return step(optimizer)

    step = Muon.step
    monkeypatch.setattr(Muon, "step", noted)
    recipes.train_recipe(SMALL, stripes(16 * 20))
    assert len(rates) == 60
    assert rates[0] == pytest.approx(0.2 / 25) and max(rates) == pytest.approx(0.2) and rates[-1] < 1e-5
    top = rates.index(max(rates))
    assert top == 14  # a quarter of 60, counted from 0
    assert rates[:15] == sorted(rates[:15]) and rates[14:] == sorted(rates[14:], reverse=True)


def test_the_seed_decides_everything(stripes):
    weights = [recipes.train_recipe(replace(SMALL, seed=seed), stripes(48))[0][1].weight for seed in (1, 1, 2)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_another_network_is_trained_by_the_recipe(stripes, linear):
    model = linear()
    trained, _ = recipes.train_recipe(SMALL, stripes(48), model=model)
    assert trained is model and not torch.equal(model[1].weight, linear()[1].weight)


def test_the_settings_of_a_recipe_reach_fit(stripes, monkeypatch):
    seen = {}
    monkeypatch.setattr(recipes, "fit", lambda *values, **named: seen.update(named, values=values))
    recipes.train_recipe(replace(SMALL, seed=3), stripes(48))
    optimizer, epochs, batch_size = seen["values"][3:]
    assert (epochs, batch_size, seen["seed"]) == (3, 16, 3)
    assert isinstance(optimizer, Muon) and optimizer.defaults == {"momentum": 0.9, "weight_decay": 0.001}
    torch.manual_seed(3)
    assert torch.equal(seen["values"][0][1].weight.cpu(), models.LogisticRegression()[1].weight)
    assert [group["max_lr"] for group in optimizer.param_groups] == [0.05, 0.2]
    assert loss_of(seen["loss_fn"]) == pytest.approx(loss_of(nn.CrossEntropyLoss(label_smoothing=0.1)))
    assert torch.equal(changed_by(seen["augment"]), changed_by(augment.random_flip))


def test_a_short_run_trains_for_few_epochs(stripes, monkeypatch, capsys):
    monkeypatch.setattr(config, "FAST", True)
    assert len(recipes.train_recipe(SMALL, stripes(48))[1]) == config.FAST_EPOCHS
    assert "FAST=1" in capsys.readouterr().out
    assert recipes.fit is training.fit


def weights_of(model):
    return [value.cpu().clone() for value in model.state_dict().values()]


def test_a_missing_model_is_trained_once_and_then_loaded(loaded_or_trained, monkeypatch, capsys):
    trained = recipes.load_or_train("small")
    assert "no checkpoint of lesson 02_mlp_baseline yet, so it is trained now" in capsys.readouterr().out
    monkeypatch.setattr(recipes, "fit", lambda *arguments, **options: pytest.fail("trained again"))
    loaded = recipes.load_or_train("small")
    assert "loaded from lesson 02_mlp_baseline, 3 epochs, validation accuracy" in capsys.readouterr().out
    assert not trained.training and not loaded.training
    for one, other in zip(weights_of(trained), weights_of(loaded), strict=True):
        assert torch.equal(one, other)


def test_training_anew_repeats_the_model_exactly(loaded_or_trained):
    first = recipes.load_or_train("small")
    checkpoints.checkpoint_path("small").unlink()
    torch.rand(1)
    again = recipes.load_or_train("small")
    assert torch.equal(first[1].weight, again[1].weight)


@pytest.mark.parametrize(("name", "left"), [("fashion_net", 10_000), ("simple_cnn", 15_000)])
def test_a_missing_model_is_trained_on_the_images_of_its_recipe(name, left, monkeypatch, stripes):
    asked = {}
    monkeypatch.setattr(recipes, "load_split", lambda name, size: (name, size, stripes(10)))

    def noting(recipe, *data, replay):
        asked.update(recipe=recipe, data=data, replay=replay)
        return nn.Flatten(), HISTORY

    monkeypatch.setattr(recipes, "train_recipe", noting)
    recipes.load_or_train(name)
    assert asked["recipe"] is RECIPES[name]
    assert [part[:2] for part in asked["data"]] == [("train", left), ("validation", left)]
    assert asked["replay"] is False  # so that REPLAY=1 replays it


def test_all_published_images_are_the_training_images_of_a_benchmark(monkeypatch, stripes):
    monkeypatch.setattr(recipes, "load_images", lambda train: stripes(60).tensors)
    assert len(recipes.load_training_images(replace(SMALL, images=60_000))) == 60


def test_training_that_was_stopped_early_is_not_kept_as_the_real_thing(loaded_or_trained, monkeypatch, capsys):
    monkeypatch.setattr(recipes, "fit", lambda *arguments, **options: HISTORY)  # two of three epochs
    recipes.load_or_train("small")
    assert "LogisticRegression is not saved: its history has 2 of the 3 epochs" in capsys.readouterr().out
    assert not checkpoints.checkpoint_path("small").exists()


def test_a_damaged_checkpoint_is_not_overwritten(loaded_or_trained):
    path = checkpoints.save_checkpoint("small", models.LogisticRegression(), {"epochs": 2}, HISTORY)
    path.write_bytes(b"half")
    with pytest.raises(checkpoints.CheckpointError):
        recipes.load_or_train("small")
    assert path.read_bytes() == b"half"


def test_a_recipe_that_there_is_not_is_refused_with_those_that_there_are():
    with pytest.raises(ValueError, match=r"no recipe 'MLP': choose one of 'mlp', .*'sprint'"):
        recipes.load_or_train("MLP")
