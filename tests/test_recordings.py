"""The committed recordings: each is of the training that its lesson does, and together they are small."""

import ast
import json
import linecache

import pytest
from safetensors import safe_open
from test_recipes import TRAINS, as_the_lesson_trains, cell_of, images_of, sources
from torch import nn

from helpers import config, recipes, replay
from helpers.recipes import PUBLISHED_IMAGES, RECIPES

LARGEST = 12 * 10**6  # bytes of all recordings together


@pytest.fixture(scope="module")
def data(real):
    """Give the training and the validation images of a recipe, all of them."""
    kept = {}

    def of(recipe):
        if recipe.images not in kept:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(config, "FAST", False)
                validation = recipes.load_split("validation", PUBLISHED_IMAGES - recipe.images)
                kept[recipe.images] = recipes.load_training_images(recipe), validation
        return kept[recipe.images]

    return of


def classes_of(lesson):
    """Define the networks that a lesson writes out, as a notebook does, so that their code can be read."""
    names = {"nn": nn, "torch": recipes.torch, "F": recipes.F}
    for number, source in enumerate(sources(lesson)):
        cell, tree = f"{lesson}, cell {number}", ast.parse(source)
        tree.body = [node for node in tree.body if isinstance(node, ast.ClassDef) and "nn.Module" in source]
        linecache.cache[cell] = len(source), None, source.splitlines(True), cell
        exec(compile(tree, cell, "exec"), names)
    return {name: value for name, value in names.items() if isinstance(value, type)}


def training_of(name, data, monkeypatch, by_recipe=False):
    """Describe the training of a lesson, or of its recipe, as `fit` does before it begins."""
    noted, recipe = {}, RECIPES[name]
    if by_recipe or name == "sprint":  # which the lesson trains by its recipe
        monkeypatch.setattr(recipes, "fit", lambda *given, **named: noted.update(named, given=given))
        recipes.train_recipe(recipe, *data(recipe))
        noted |= zip(("model", "train", "validation", "optimizer", "epochs", "batch_size"), noted["given"], strict=True)
    else:
        lesson, source = cell_of(name)
        noted = as_the_lesson_trains(source, images_of(lesson), **classes_of(lesson))
    noted["train"], noted["validation"] = data(recipe)
    keys = ("model", "train", "validation", "optimizer", "epochs", "batch_size", "scheduler", "batch_scheduler")
    return noted["model"], replay.describe_training(*(noted.get(key) for key in (*keys, "augment", "loss_fn", "seed")))


@pytest.mark.parametrize("name", TRAINS)
def test_the_training_of_a_lesson_is_the_recorded_one(name, data, monkeypatch):
    model, training = training_of(name, data, monkeypatch)
    assert replay.why_not(model, training) is None
    path = replay.RECORDINGS / replay.file_name(model)
    with safe_open(path, framework="pt") as file:
        history = json.loads(file.metadata()["history"])
    assert len(history["epoch"]) == RECIPES[name].epochs


@pytest.mark.parametrize("name", TRAINS)
def test_a_later_lesson_can_replay_what_an_earlier_one_trains(name, data, monkeypatch):
    assert replay.why_not(*training_of(name, data, monkeypatch, by_recipe=True)) is None


def test_the_code_of_a_network_belongs_to_its_training(data, monkeypatch):
    model, training = training_of("fashion_net", data, monkeypatch)
    assert type(model).__module__ != "helpers.models"  # it is the class that the lesson writes out
    monkeypatch.setattr(type(model), "forward", lambda self, x: x)
    assert "network" in replay.why_not(model, training | {"network": replay.describe_network(model)})


def test_all_recordings_together_are_small_and_none_is_left_over():
    files = sorted(replay.RECORDINGS.glob("*.safetensors"))
    assert [file.stem for file in files] == sorted(RECIPES[name].network for name in TRAINS)
    assert sum(file.stat().st_size for file in replay.RECORDINGS.rglob("*.safetensors")) <= LARGEST


def test_no_lesson_is_committed_as_a_replay():
    for lesson in config.LESSONS:
        assert "replay=True" not in "".join(sources(lesson))


def test_every_training_that_is_recorded_can_be_replayed_by_changing_one_word():
    for name in TRAINS:
        lesson = RECIPES[name].lesson
        assert sum(source.count("replay=False") for source in sources(lesson)) == len(
            [other for other in TRAINS if RECIPES[other].lesson == lesson]
        )
