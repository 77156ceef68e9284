"""A training that is stopped: the lesson goes on, and nothing takes the model for a finished one."""

import copy
import csv
import json
import re
import signal
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from committed import read_committed
from jupyter_client.manager import start_new_kernel
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from torch.optim.lr_scheduler import StepLR

from helpers import checkpoints, config, data, evaluation, recipes, results, training, unfinished

NOTEBOOKS_DIR = config.NOTEBOOKS_DIR

pytestmark = pytest.mark.usefixtures("home")
COLUMNS = ["epoch", "learning_rate", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy"]
RECIPE = {"epochs": 3}


def press_stop():
    """Do what the stop button does in a notebook."""
    signal.raise_signal(signal.SIGINT)


class Pressed(nn.Module):
    """A linear model during whose forward passes stop is pressed; passes are counted from 1."""

    def __init__(self, presses, press=press_stop):
        super().__init__()
        self.linear = nn.Linear(784, 10)
        self.presses, self.press, self.passes = presses, press, 0

    def forward(self, x):
        self.passes += 1
        if self.passes in self.presses:
            self.press()
        return self.linear(x.flatten(1))


def raise_interrupt():
    raise KeyboardInterrupt


class KeepWeights:
    """In place of a learning-rate schedule: note the weights after each epoch."""

    def __init__(self, model):
        self.model, self.copies = model, []

    def step(self):
        self.copies.append(copy.deepcopy(self.model.linear.weight))


# Each epoch of three batches is four passes: three in training, the fourth over the validation images.
@pytest.mark.parametrize(
    ("presses", "epochs", "stopped"),
    [
        ({1}, 1, "epoch 1 of 3"),  # before anything was learned
        ({2}, 1, "epoch 1 of 3"),
        ({4}, 1, "epoch 2 of 3"),  # while the first epoch is measured, which is then whole
        ({5}, 1, "epoch 2 of 3"),
        ({6}, 2, "epoch 2 of 3"),
        ({11}, 3, "epoch 3 of 3"),
        ({12}, 3, None),  # the last epoch is trained, and measured all the same
        ({1, 2}, 1, "epoch 1 of 3"),  # the second press while the model is measured
        ({6, 7}, 2, "epoch 2 of 3"),
        ({1, 2, 3, 4}, 1, "epoch 1 of 3"),
    ],
)
def test_a_stop_at_any_moment_leaves_whole_rows_and_says_how_far_it_came(
    stripes, tmp_path, capsys, presses, epochs, stopped
):
    torch.manual_seed(0)
    model = Pressed(presses)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    keeper, before = KeepWeights(model), signal.getsignal(signal.SIGINT)
    history = training.fit(
        model, stripes(30), stripes(10), optimizer, 3, 10, scheduler=keeper, log_dir=tmp_path, macro_metrics=True
    )
    assert history.columns.tolist() == [*COLUMNS, "precision", "recall", "f1", "seconds"]
    assert history["epoch"].tolist() == list(range(1, epochs + 1)) and history.notna().all(axis=None)
    assert history.attrs.get("stopped") == stopped and (unfinished.how_far(model) is None) == (stopped is None)
    assert (f"Stopped by you in {stopped}." in capsys.readouterr().err) == (stopped is not None)
    assert len(keeper.copies) == epochs and torch.equal(keeper.copies[-1], model.linear.weight)
    points = EventAccumulator(str(tmp_path)).Reload().Scalars("train_loss")
    assert [point.step for point in points] == history["epoch"].tolist()
    assert [point.value for point in points] == pytest.approx(history["train_loss"].tolist())
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("presses", [{1}, {2}, {4}, {2, 3}, {6}, {6, 7}])
def test_an_interrupt_that_code_raises_itself_is_a_stop_too(stripes, presses):
    model = Pressed(presses, raise_interrupt)
    history = training.fit(model, stripes(30), stripes(10), torch.optim.Adam(model.parameters()), 3, 10)
    assert "stopped" in history.attrs and history.columns.tolist() == [*COLUMNS, "seconds"]
    assert len(history) and history.notna().all(axis=None)


@pytest.mark.parametrize("call", [1, 2, 4, 5])
def test_a_stop_while_images_are_augmented(stripes, linear, call):
    calls, model = [], linear()

    def augment(images):
        calls.append(1)
        if len(calls) == call:
            press_stop()
        return images

    history = training.fit(model, stripes(30), None, torch.optim.Adam(model.parameters()), 3, 10, augment=augment)
    assert len(history) == (2 if call == 5 else 1) and history.notna().all(axis=None)
    assert history.attrs["stopped"] == ("epoch 2 of 3" if call > 3 else "epoch 1 of 3")


def test_the_figures_of_an_unfinished_epoch_are_those_of_the_images_seen(stripes):
    model = Pressed({3})
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    # The first two batches are drawn in an order that the seed fixes.
    whole = stripes(30)
    seen = [labels for _, labels in data.make_loader(whole, 10, shuffle=True, seed=1)]
    history = training.fit(model, whole, stripes(10), optimizer, 3, 10, seed=1)
    images = torch.cat([images for images, _ in data.make_loader(whole, 10, shuffle=True, seed=1)][:2])
    labels = torch.cat(seen[:2])
    loss = F.cross_entropy(model.linear(data.normalize(images).flatten(1)), labels).item()
    assert history["train_loss"].item() == pytest.approx(loss, rel=1e-5)


def test_a_schedule_does_not_warn_when_nothing_was_trained(stripes, recwarn):
    model = Pressed({1})
    optimizer = torch.optim.Adam(model.parameters())
    training.fit(model, stripes(30), stripes(10), optimizer, 3, 10, scheduler=StepLR(optimizer, 1))
    assert not [warning for warning in recwarn if "lr_scheduler" in str(warning.message)]


def train(stripes, model, presses=(), epochs=3):
    model.presses, model.passes = set(presses), 0
    return training.fit(model, stripes(30), stripes(10), torch.optim.Adam(model.parameters(), 0.01), epochs, 10)


def test_an_unfinished_model_is_not_saved_and_an_older_checkpoint_stays(stripes, capsys):
    model = Pressed(())
    path = checkpoints.save_checkpoint("small", model, RECIPE, train(stripes, model))
    before = path.read_bytes()
    history = train(stripes, model, {6})
    capsys.readouterr()
    assert checkpoints.save_checkpoint("small", model, RECIPE, history) is None
    assert "Pressed is not saved: its training was stopped in epoch 2 of 3." in capsys.readouterr().out
    assert path.read_bytes() == before
    assert checkpoints.save_checkpoint("small", model, RECIPE, train(stripes, model)) == path  # run again to the end


def test_neither_an_older_history_nor_a_copy_of_the_model_makes_it_finished(stripes):
    model = Pressed(())
    finished = train(stripes, model)
    stopped = train(stripes, model, {2})
    assert checkpoints.save_checkpoint("small", model, RECIPE, finished) is None
    assert checkpoints.save_checkpoint("small", copy.deepcopy(model), RECIPE, stopped) is None
    assert checkpoints.save_checkpoint("small", copy.deepcopy(model), RECIPE, pd.concat([stopped])) is None
    assert not checkpoints.checkpoint_path("small").exists()


def test_a_training_that_ends_with_an_error_is_not_finished(stripes):
    model = Pressed({6}, lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        training.fit(model, stripes(30), stripes(10), torch.optim.Adam(model.parameters()), 3, 10)
    assert unfinished.how_far(model) == "epoch 2 of 3"


def test_a_training_that_fast_caps_is_finished(stripes, monkeypatch):
    monkeypatch.setattr(config, "FAST", True)
    model = Pressed(())
    history = train(stripes, model, epochs=12)
    assert len(history) == 2 and checkpoints.save_checkpoint("small", model, {"epochs": 12}, history).is_file()
    assert checkpoints.save_checkpoint("other", model, {"epochs": 12}, train(stripes, model, {2}, 12)) is None


def test_the_fast_recipes_tell_of_a_stop_too(stripes, monkeypatch):
    recipe = replace(recipes.RECIPES["sprint"], epochs=3, batch_size=16)
    calls = []

    def change(images):
        calls.append(1)
        if len(calls) == 2:
            press_stop()
        return images

    monkeypatch.setattr(recipes, "make_augment", lambda recipe: change)
    model, history = recipes.train_recipe(recipe, stripes(48), stripes(10))
    assert history.attrs["stopped"] == "epoch 1 of 3"
    assert checkpoints.save_checkpoint("small", model, recipe, history) is None


def record(history):
    figures = {"parameters": 7_850, "train_images": 30, "test_accuracy": 0.5, "test_loss": 1.0}
    return results.record_result("02_mlp_baseline", "MLP", history=history, **figures)


def test_only_a_finished_training_is_recorded(stripes, capsys):
    model = Pressed(())
    entry = record(train(stripes, model))
    assert record(train(stripes, model, {6})) is None
    assert "Not recorded: the training of MLP was stopped in epoch 2 of 3." in capsys.readouterr().out
    assert record(pd.DataFrame()) is None
    assert results.read_results(results.results_path()) == [entry]


def openings():
    with open(config.RUNS_DIR / "test_set_openings.csv", newline="", encoding="utf-8") as file:
        return [row[1] for row in csv.reader(file)]


def test_figures_of_an_unfinished_model_on_the_test_set_are_called_not_final(stripes, monkeypatch, capsys):
    monkeypatch.setattr(data, "load_images", lambda train: stripes(20).tensors)
    model, other = Pressed(()), Pressed(())
    train(stripes, model, {6})
    train(stripes, other)
    capsys.readouterr()
    evaluation.predict(model, stripes(20))  # not the test set
    evaluation.predict(other, data.open_test_set("final accuracy of the other"))
    assert openings() == ["final accuracy of the other"] and "Not final" not in capsys.readouterr().out
    test = data.open_test_set("final accuracy of MLP")
    evaluation.predict(model, test)
    note = "Not final: the training of this Pressed was stopped in epoch 2 of 3"
    assert openings()[1:] == ["final accuracy of MLP", note]
    assert note in capsys.readouterr().out
    train(stripes, model)
    evaluation.predict(model, test)
    assert len(openings()) == 3


@pytest.mark.parametrize("is_fast", [True, False])
def test_a_claim_about_an_unfinished_model_is_left_undecided(stripes, monkeypatch, capsys, is_fast):
    monkeypatch.setattr(config, "FAST", is_fast)
    model = Pressed(())
    train(stripes, model, {2})
    results.claim("It is good.", holds=False, fast=False)
    epochs = "2" if is_fast else "3"
    expected = f"Not checked, because a training did not end (Pressed in epoch 1 of {epochs}): It is good."
    assert expected in capsys.readouterr().out
    train(stripes, model)
    if is_fast:
        with pytest.raises(AssertionError):
            results.claim("It is good.", holds=False, fast=False)
    else:
        results.claim("It is good.", holds=False, fast=False)
        assert results.OTHERWISE in capsys.readouterr().out


def test_figures_that_outlive_a_stopped_model_are_left_undecided_too(stripes, capsys):
    accuracies = [train(stripes, Pressed(()), presses)["validation_accuracy"].iloc[-1] for presses in ({2}, {3})]
    results.claim("Both are good.", holds=min(accuracies) > 1)
    assert "Not checked, because a training did not end (Pressed in epoch 1 of 3)" in capsys.readouterr().out


def test_an_error_before_anything_was_learned_leaves_a_finished_model_finished(stripes):
    model = Pressed(())
    optimizer = torch.optim.Adam(model.parameters())
    with pytest.raises(ValueError, match="mean over the batch"):
        training.fit(model, stripes(30), None, optimizer, 3, 10, loss_fn=nn.CrossEntropyLoss(reduction="none"))
    assert unfinished.unfinished_models() == []
    calls = []

    def fails_in_the_second_batch(outputs, labels):
        calls.append(1)
        return F.cross_entropy(outputs, labels if len(calls) == 1 else labels.float())

    with pytest.raises(ValueError, match="cannot take the outputs"):
        training.fit(model, stripes(30), None, optimizer, 3, 10, loss_fn=fails_in_the_second_batch)
    assert unfinished.unfinished_models() == ["Pressed in epoch 1 of 3"]


def test_stop_ends_what_hangs_too(stripes, monkeypatch):
    def hang():
        for _ in range(2):  # the first press in this pass is noted, one much later is obeyed
            press_stop()
            clock.append(clock[-1] + 2 * training.PATIENCE)

    clock = [100.0]
    monkeypatch.setattr(training, "time", SimpleNamespace(monotonic=lambda: clock[-1], perf_counter=time.perf_counter))
    model = Pressed({4, 5}, hang)  # while the first epoch is measured, which is tried twice
    with pytest.raises(KeyboardInterrupt):
        training.fit(model, stripes(30), stripes(10), torch.optim.Adam(model.parameters()), 3, 10)


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_an_unfinished_checkpoint_of_an_earlier_version_is_trained_anew(stripes, monkeypatch, capsys, rows):
    recipe = replace(recipes.RECIPES["mlp"], network="LogisticRegression", epochs=3, batch_size=20)
    monkeypatch.setitem(recipes.RECIPES, "small", recipe)
    monkeypatch.setattr(recipes, "load_split", lambda name, size: stripes(40))
    expected = recipes.load_or_train("small")
    path = checkpoints.checkpoint_path("small")
    content = torch.load(path, weights_only=True)
    content["history"] = {key: values[:rows] for key, values in content["history"].items()} if rows else {}
    content["validation_accuracy"] = float("nan")
    torch.save(content, path)
    capsys.readouterr()
    again = recipes.load_or_train("small")
    out = capsys.readouterr().out
    assert f"was stopped after {rows} of 3 epochs, so it is trained now" in out and "nan" not in out
    assert torch.equal(again[1].weight, expected[1].weight)
    assert len(torch.load(path, weights_only=True)["history"]["epoch"]) == 3


@pytest.fixture
def lesson_kernel(real, tmp_path):
    """Start a kernel as JupyterLab does, whose runs go to a fresh folder; give a function that executes a cell."""
    manager, client = start_new_kernel(cwd=str(NOTEBOOKS_DIR))

    def execute(source, stop=False):
        said, pressed = [], []

        def note(message):
            content = message["content"]
            if message["msg_type"] == "stream":
                said.append(content["text"])
            elif message["msg_type"] == "error":
                said.append(f"ERROR {content['ename']}: {content['evalue']}")
            elif "data" in content:
                said.extend(str(content["data"].get(kind, "")) for kind in ("text/plain", "text/html", "text/markdown"))
            if stop and "Training " in "".join(said) and not pressed:
                pressed.append(1)
                manager.interrupt_kernel()
                manager.interrupt_kernel()  # an impatient student

        client.execute_interactive(source, output_hook=note, timeout=120)
        return "".join(said)

    assert (
        execute(f"from pathlib import Path; from helpers import config; config.RUNS_DIR = Path({str(tmp_path)!r})")
        == ""
    )
    yield execute
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def test_lesson_02_goes_on_after_a_stop_in_its_first_epoch(lesson_kernel, tmp_path):
    cells = [cell for cell in read_committed(NOTEBOOKS_DIR / "02_mlp_baseline.ipynb").cells if cell.cell_type == "code"]
    trains = next(number for number, cell in enumerate(cells) if "history = fit(" in cell.source)
    lesson_kernel(cells[0].source)
    lesson_kernel("linear_accuracy = 0.8")
    for cell in cells[:trains]:
        if cell.source.startswith("def "):  # the loop and the measurement, which later cells use
            lesson_kernel(cell.source)
    lesson_kernel("from helpers import config; config.FAST_EPOCHS = 12")  # long enough that the press comes in time
    found = re.search(r"Stopped by you in (epoch \d+ of 12)\.", lesson_kernel(cells[trains].source, stop=True))
    stopped = found.group(1)
    said = {cell.id: lesson_kernel(cell.source) for cell in cells[trains + 1 :]}
    together = "\n".join(said.values())
    assert "ERROR" not in together, together
    # One table has a place for each class, also for those that an untrained model never names.
    assert not [
        text for text in said.values() if re.search(r"\bnan\b", text.lower()) and "mean confidence (%)" not in text
    ]
    assert f"MLP is not saved: its training was stopped in {stopped}." in together
    assert f"Not final: the training of this MLP was stopped in {stopped}" in together
    assert f"Not recorded: the training of MLP was stopped in {stopped}." in together
    assert [path.name for path in tmp_path.iterdir()] == ["test_set_openings.csv"]
    # The same cells again, to the end.
    lesson_kernel("config.FAST_EPOCHS = 2")
    for cell in cells[trains:]:
        if any(call in cell.source for call in ("fit(", "save_checkpoint(", "open_test_set(", "record_result(")):
            assert "ERROR" not in lesson_kernel(cell.source)
    assert "MLP: loaded from lesson 02_mlp_baseline, 2 epochs" in lesson_kernel(
        "from helpers.recipes import load_or_train; _ = load_or_train('mlp')"
    )
    assert [entry["epochs"] for entry in json.loads((tmp_path / "results.json").read_text())] == [2]


def test_what_a_loop_measured_is_not_recorded_after_a_stop_until_its_cell_has_run_again(lesson_kernel, tmp_path):
    lesson_kernel("""
import torch
from helpers.config import FAST
from helpers.data import load_split
from helpers.models import LogisticRegression
from helpers.results import record_headline, record_score
from helpers.training import fit
few = load_split("validation")""")
    # The first training is stopped, and a later one of the same class is trained to the end.
    loop = """
for epochs in lengths:
    model = LogisticRegression()
    history = fit(model, few, None, torch.optim.SGD(model.parameters(), lr=0.01), epochs, batch_size=10)"""
    keep = """
record_score("LogisticRegression", 1, 2)
record_headline("09_deeper_networks", "what depth adds", value=1, low=0, high=2, unit="points", how="two trainings")"""
    kept = [tmp_path / "scoreboard.json", tmp_path / "results.json"]
    lesson_kernel("config.FAST_EPOCHS, lengths = 50, [50, 1]")
    assert "Stopped by you" in lesson_kernel(loop, stop=True)
    for _ in range(2):
        said = lesson_kernel(keep)
        assert said.count("because a training was stopped (LogisticRegression in epoch ") == 2, said
        assert not any(path.exists() for path in kept)
        lesson_kernel("lengths = [1, 1]")
        lesson_kernel(f"if True: {loop}".replace("\n", "\n    "))  # another cell trains to the end
    lesson_kernel(loop)
    assert "Not recorded" not in lesson_kernel(keep)
    assert all(path.exists() for path in kept)


def test_a_cell_that_was_changed_is_still_the_same_cell_where_its_id_is_sent(monkeypatch):
    def run(code, number, sent):
        shell = SimpleNamespace(user_ns={"In": ["", code]}, execution_count=number, get_parent=lambda: sent)
        monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))

    model = nn.Linear(1, 1)
    for sent, left in [({"metadata": {"cellId": "a1"}}, []), ({}, ["Linear in epoch 1 of 9"])]:
        run("fit(model, epochs=9)", 3, sent)
        unfinished.mark_stopped(model, "epoch 1 of 9")
        unfinished.mark_finished(model)  # in the same run of the cell
        assert unfinished.stopped_trainings() == ["Linear in epoch 1 of 9"]
        run("fit(model, epochs=2)", 4, sent)
        unfinished.mark_finished(model)
        assert unfinished.stopped_trainings() == left
