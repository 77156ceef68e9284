"""Checkpoints: what comes back, what is refused with a clear message, and what is kept apart."""

import random
import runpy
import sys

import pandas as pd
import pytest
import torch

from helpers import checkpoints, config, models

pytestmark = pytest.mark.usefixtures("home")
HISTORY = pd.DataFrame({"epoch": [1, 2], "validation_accuracy": [0.8, 0.9], "validation_loss": [0.6, 0.4]})
RECIPE = {"epochs": 2, "lr": 1e-3, "step_size": None}


@pytest.fixture
def saved():
    """Save a small model; give it and its file."""
    torch.manual_seed(1)
    model = models.LogisticRegression()
    return model, checkpoints.save_checkpoint("small", model, RECIPE, HISTORY)


@pytest.fixture
def small_recipe(monkeypatch, stripes):
    """Let `load_or_train` train a small model on small data."""
    recipe = {**checkpoints.RECIPES["mlp"], "model": "LogisticRegression", "epochs": 3, "batch_size": 20}
    monkeypatch.setitem(checkpoints.RECIPES, "small", recipe)
    monkeypatch.setattr(checkpoints, "load_split", lambda name: stripes(100 if name == "train" else 50))


def weights_of(model):
    return [value.cpu().clone() for value in model.state_dict().values()]


def assert_refused(match):
    with pytest.raises(checkpoints.CheckpointError, match=match) as caught:
        checkpoints.load_checkpoint("small", models.LogisticRegression())
    message = str(caught.value)
    assert "small.pt" in message and "Move or delete it" in message and "load_or_train('small')" in message


def test_a_checkpoint_brings_back_the_weights_and_what_made_them(saved):
    model = models.LogisticRegression().train()
    content = checkpoints.load_checkpoint("small", model)
    for loaded, original in zip(weights_of(model), weights_of(saved[0]), strict=True):
        assert torch.equal(loaded, original)
    assert not model.training
    assert content["model"] == "LogisticRegression" and content["recipe"] == RECIPE
    assert content["seed"] == config.SEED and content["fast"] is False
    assert content["data_sha256"].startswith("c59f468a")
    assert content["versions"]["torch"] == torch.__version__
    assert content["validation_accuracy"] == 0.9 and content["validation_loss"] == 0.4
    pd.testing.assert_frame_equal(content["history"], HISTORY)


def test_running_statistics_of_batch_norm_come_back():
    model = models.BatchNormCNN()
    model.train()(torch.randn(4, 1, 28, 28))
    checkpoints.save_checkpoint("norm", model, RECIPE, HISTORY)
    other = models.BatchNormCNN()
    checkpoints.load_checkpoint("norm", other)
    assert torch.equal(other[2].running_mean, model[2].running_mean)


def test_a_missing_checkpoint_says_which_lesson_writes_it():
    with pytest.raises(FileNotFoundError, match="The lesson that trains 'nothing' writes it"):
        checkpoints.load_checkpoint("nothing", models.MLP())


def test_a_checkpoint_of_another_architecture_is_refused_by_name(saved):
    with pytest.raises(
        checkpoints.CheckpointError, match="holds a LogisticRegression whose layers differ from this MLP"
    ):
        checkpoints.load_checkpoint("small", models.MLP())


def test_the_same_layers_in_another_order_are_another_architecture():
    checkpoints.save_checkpoint("norm", models.BatchNormCNN(), RECIPE, HISTORY)
    with pytest.raises(checkpoints.CheckpointError, match="layers differ"):
        checkpoints.load_checkpoint("norm", models.BatchNormCNN(relu_first=False))


@pytest.mark.parametrize("share", [0, 0.001, 0.5, 0.99])
def test_a_truncated_checkpoint_is_refused(saved, share):
    content = saved[1].read_bytes()
    saved[1].write_bytes(content[: int(share * len(content))])
    assert_refused("is damaged")


def test_one_flipped_bit_in_the_weights_is_refused(saved):
    content = bytearray(saved[1].read_bytes())
    content[len(content) // 2] ^= 1
    saved[1].write_bytes(content)
    assert_refused("is damaged")


def test_garbage_of_any_length_is_refused(saved):
    generator = random.Random(0)
    for _ in range(100):
        saved[1].write_bytes(generator.randbytes(generator.randrange(2_000)))
        assert_refused("is damaged")


@pytest.mark.parametrize("content", [None, torch.zeros(3), {}, {"weights": {}, "model": "MLP"}])
def test_a_file_that_is_no_checkpoint_of_ours_is_refused(saved, content):
    torch.save(content, saved[1])
    assert_refused("is damaged")


def test_a_checkpoint_cannot_run_code(saved, home):
    class Evil:
        def __reduce__(self):
            return (open, (str(home / "evil"), "w"))

    torch.save({"weights": Evil(), "model": "MLP"}, saved[1])
    assert_refused("is damaged")
    assert not (home / "evil").exists()


def test_a_failed_save_leaves_the_old_checkpoint_and_no_half_file(saved, monkeypatch):
    before = saved[1].read_bytes()

    def fail_half_way(content, path):
        path.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(torch, "save", fail_half_way)
    with pytest.raises(OSError, match="No space left"):
        checkpoints.save_checkpoint("small", models.LogisticRegression(), RECIPE, HISTORY)
    assert saved[1].read_bytes() == before
    assert [path.name for path in saved[1].parent.iterdir()] == ["small.pt"]


def test_a_model_stopped_in_its_first_epoch_can_be_saved_and_read():
    checkpoints.save_checkpoint("small", models.LogisticRegression(), RECIPE, pd.DataFrame())
    content = checkpoints.load_checkpoint("small", models.LogisticRegression())
    assert len(content["history"]) == 0 and content["validation_accuracy"] != content["validation_accuracy"]


def test_fast_full_and_test_runs_have_folders_of_their_own(monkeypatch):
    def runs_dir(**environment):
        for name in ("FAST", "RUN_NAME"):
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return runpy.run_path(sys.modules["helpers.config"].__file__)["RUNS_DIR"].name

    assert runs_dir() == runs_dir(FAST="") == runs_dir(FAST="0") == "full"
    assert runs_dir(FAST="1") == "fast"
    assert runs_dir(FAST="1", RUN_NAME="test-fast") == "test-fast"


def test_every_recipe_names_a_model_an_optimizer_and_a_loss_that_exist():
    for recipe in checkpoints.RECIPES.values():
        model = getattr(models, recipe["model"])()
        optimizer, scheduler = checkpoints.make_optimizer(recipe, model)
        assert type(optimizer).__name__ == recipe["optimizer"] and optimizer.param_groups[0]["lr"] == recipe["lr"]
        assert (scheduler is None) == (recipe["step_size"] is None)
        if scheduler is not None:
            assert (scheduler.step_size, scheduler.gamma) == (recipe["step_size"], recipe["gamma"])
        assert callable(getattr(torch.nn.functional, recipe["loss"]))


def test_a_missing_model_is_trained_once_and_then_loaded(small_recipe, monkeypatch, capsys):
    trained = checkpoints.load_or_train("small")
    assert "no checkpoint of lesson 02_mlp_baseline yet, so it is trained now" in capsys.readouterr().out
    monkeypatch.setattr(checkpoints, "fit", lambda *arguments, **options: pytest.fail("trained again"))
    loaded = checkpoints.load_or_train("small")
    assert "loaded from lesson 02_mlp_baseline, 3 epochs, validation accuracy" in capsys.readouterr().out
    assert not trained.training and not loaded.training
    for one, other in zip(weights_of(trained), weights_of(loaded), strict=True):
        assert torch.equal(one, other)


def test_training_anew_repeats_the_model_exactly(small_recipe):
    first = checkpoints.load_or_train("small")
    checkpoints.checkpoint_path("small").unlink()
    torch.rand(1)
    again = checkpoints.load_or_train("small")
    assert torch.equal(first[1].weight, again[1].weight)


def test_a_missing_model_is_trained_by_its_recipe(monkeypatch):
    asked = {}
    monkeypatch.setattr(checkpoints, "load_split", lambda name: name)
    monkeypatch.setattr(
        checkpoints, "fit", lambda model, *parts, **options: asked.update(options, parts=parts, model=model) or HISTORY
    )
    checkpoints.load_or_train("fashion_net")
    assert isinstance(asked["model"], models.FashionNet)
    assert asked["parts"][:2] == ("train", "validation") and isinstance(asked["parts"][2], torch.optim.Adam)
    assert (asked["epochs"], asked["batch_size"]) == (8, 64)
    assert asked["loss_function"] is torch.nn.functional.nll_loss
    assert (asked["scheduler"].step_size, asked["scheduler"].gamma) == (1, 0.7)


def test_training_that_was_stopped_early_is_not_kept_as_the_real_thing(small_recipe, monkeypatch):
    monkeypatch.setattr(checkpoints, "fit", lambda *arguments, **options: HISTORY)  # two of three epochs
    checkpoints.load_or_train("small")
    assert not checkpoints.checkpoint_path("small").exists()


def test_a_damaged_checkpoint_is_not_overwritten(small_recipe):
    path = checkpoints.save_checkpoint("small", models.LogisticRegression(), RECIPE, HISTORY)
    path.write_bytes(b"half")
    with pytest.raises(checkpoints.CheckpointError):
        checkpoints.load_or_train("small")
    assert path.read_bytes() == b"half"
