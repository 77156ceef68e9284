"""Replay: a recorded training comes back as it was, in no time, and is refused for any other training."""

import time
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR, StepLR

from helpers import augment, config, models, replay, training
from helpers.evaluation import predict
from helpers.unfinished import how_far


@pytest.fixture
def recordings(home, monkeypatch):
    """Let committed and new recordings be in one fresh folder."""
    monkeypatch.setattr(replay, "RECORDINGS", home / "runs" / "full" / "recordings")
    monkeypatch.setattr(config, "REPLAY", False)
    return replay.RECORDINGS


class Small(nn.Module):
    """One linear layer, with dropout and batch normalisation."""

    def __init__(self, dropout=0.5):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(784), nn.Dropout(dropout), nn.Linear(784, 10))

    def forward(self, x):
        return self.layers(x)


class Scaled(Small):
    """Has the layers of Small, and computes something else with them."""

    def forward(self, x):
        return 2 * self.layers(x)


Scaled.__name__ = Small.__name__


def train(stripes, asked, model=None, lr=0.01, kind=torch.optim.SGD, schedule=None, **options):
    torch.manual_seed(0)
    model = model or Small()
    optimizer = kind(model.parameters(), lr=lr)
    if schedule:
        options["scheduler"] = schedule(optimizer)
    given = {"train": stripes(100, seed=1), "validation": stripes(50, seed=2), "epochs": 3, "batch_size": 20} | options
    return model, training.fit(model, optimizer=optimizer, replay=asked, **given)


def test_a_replay_brings_history_and_weights_back_without_training(recordings, stripes, capsys):
    trained, history = train(stripes, False)
    asked, images = Small(), stripes(50, seed=3)
    capsys.readouterr()
    replayed, again = train(stripes, True, asked)
    told = capsys.readouterr().out
    assert replayed is asked and again.equals(history)
    assert told.startswith("Replayed, not trained: recorded on 20") and told.count("validation: loss") == 3
    for name, value in replayed.state_dict().items():
        before = trained.state_dict()[name]
        assert value.dtype == before.dtype
        torch.testing.assert_close(value, before, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(predict(replayed, images)[2], predict(trained, images)[2], rtol=0, atol=0.01)
    assert not replayed.training and how_far(replayed) is None


def test_the_file_is_in_half_precision(recordings, stripes):
    model, _ = train(stripes, False)
    [path] = recordings.iterdir()
    numbers = sum(value.numel() for value in model.state_dict().values())
    assert path.name == "Small.safetensors" and path.stat().st_size < 2 * numbers + 4_000


OTHERS = {
    "epochs (4 here, 3 recorded)": {"epochs": 4},
    "batch size (10 here, 20 recorded)": {"batch_size": 10},
    "seed (7 here, 0 recorded)": {"seed": 7},
    "lr (0.02 here, 0.01 recorded)": {"lr": 0.02},
    "optimizer": {"kind": torch.optim.Adam},
    "momentum (0.9 here, 0 recorded)": {"kind": partial(torch.optim.SGD, momentum=0.9)},
    "weight_decay (0.1 here, 0 recorded)": {"kind": partial(torch.optim.SGD, weight_decay=0.1)},
    "learning-rate schedule": {"schedule": partial(StepLR, step_size=1, gamma=0.5)},
    "augmentation": {"augment": augment.random_flip},
    "loss (nll_loss here, cross_entropy recorded)": {"loss_fn": lambda o, y: F.nll_loss(o.log_softmax(1), y)},
    "loss": {"loss_fn": partial(F.cross_entropy, label_smoothing=0.1)},
}


@pytest.mark.parametrize("difference", OTHERS)
def test_a_training_that_was_changed_is_not_replayed(difference, recordings, stripes):
    train(stripes, False)
    model = Small()
    before = [value.clone() for value in model.state_dict().values()]
    with pytest.raises(replay.ReplayError) as refused:
        train(stripes, True, model, **OTHERS[difference])
    assert difference.split(" (")[0] in str(refused.value) and "replay=False" in str(refused.value)
    if "(" in difference and "nll" not in difference:
        assert difference in str(refused.value)
    assert all(torch.equal(*pair) for pair in zip(model.state_dict().values(), before, strict=True))


def test_other_images_or_labels_are_not_replayed(recordings, stripes):
    train(stripes, False)
    other = stripes(100, seed=1)
    other.tensors[1][0] = (other.tensors[1][0] + 1) % 10
    with pytest.raises(replay.ReplayError, match="training images"):
        train(stripes, True, train=other)
    with pytest.raises(replay.ReplayError, match="validation images"):
        train(stripes, True, validation=stripes(50, seed=9))


def test_another_network_of_that_name_is_not_replayed(recordings, stripes):
    train(stripes, False)
    with pytest.raises(replay.ReplayError, match="network"):
        train(stripes, True, Small(dropout=0.25))
    with pytest.raises(replay.ReplayError, match="network"):
        train(stripes, True, Scaled())
    with pytest.raises(replay.ReplayError, match=r"no training of LogisticRegression is recorded \(recorded: Small\)"):
        train(stripes, True, models.LogisticRegression())


def test_versions_of_pytorch_that_write_a_batch_norm_otherwise_have_the_same_network(monkeypatch):
    described = set()
    for words in ("{num_features}, eps={eps}", "{num_features}, eps={eps}, bias=True", "{num_features}, eps=0"):
        monkeypatch.setattr(nn.BatchNorm2d, "extra_repr", lambda layer, words=words: words.format(**vars(layer)))
        described.add(replay.describe_network(models.BatchNormCNN()))
    different = 2
    assert len(described) == different


def test_steps_of_one_cycle_belong_to_the_training(recordings, stripes):
    def one_cycle(top):
        model = Small()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        schedule = OneCycleLR(optimizer, max_lr=top, total_steps=15)
        given = (stripes(100), None, optimizer, 3, 20)
        return partial(training.fit, model, *given, batch_scheduler=schedule)

    one_cycle(0.1)(replay=False)
    one_cycle(0.1)(replay=True)
    with pytest.raises(replay.ReplayError, match="max_lr"):
        one_cycle(0.2)(replay=True)


def test_a_schedule_of_ones_own_belongs_to_the_training(recordings, stripes):
    class Resting:
        def __init__(self, optimizer):
            """Take what `fit` would be given; it has no state to tell of."""

        def step(self):
            """Leave the learning rate alone."""

    train(stripes, False, schedule=Resting)
    train(stripes, True, schedule=Resting)
    with pytest.raises(replay.ReplayError, match="learning-rate schedule"):
        train(stripes, True)


def test_a_comment_changes_nothing(monkeypatch):
    def one(x):
        """Double."""
        return 2 * x  # twice

    first = replay.code_of(one)

    def one(x):
        return 2 * x

    assert replay.code_of(one) == first

    def one(x):
        return 3 * x

    assert replay.code_of(one) != first

    def made_with(factor):
        return lambda x: factor * x

    assert replay.code_of(made_with(2)) != replay.code_of(made_with(3))
    assert replay.code_of(nn.CrossEntropyLoss(label_smoothing=0.1)) != replay.code_of(nn.CrossEntropyLoss())


def test_a_class_replays_what_is_recorded_and_trains_the_rest(recordings, stripes, monkeypatch, capsys):
    train(stripes, False)
    monkeypatch.setattr(config, "REPLAY", True)
    capsys.readouterr()
    train(stripes, False)
    assert "Replayed, not trained" in capsys.readouterr().out
    train(stripes, False, epochs=2)
    told = capsys.readouterr().out
    assert "epochs (2 here, 3 recorded). So it is trained now." in told and "Training Small" in told
    train(stripes, None)  # a training that the project does not record
    assert "replay" not in capsys.readouterr().out.lower()


def test_a_short_run_trains_and_records_nothing(recordings, stripes, monkeypatch, capsys):
    monkeypatch.setattr(config, "FAST", True)
    train(stripes, True)
    assert "Training Small" in capsys.readouterr().out and not recordings.exists()


def test_a_training_says_before_how_long_it_takes(recordings, stripes, capsys):
    train(stripes, False)
    first = capsys.readouterr().out.splitlines()[0]
    assert first == "Training Small on cpu in float32, about 10 seconds."
    train(stripes, False)
    assert "about 10 seconds; replay=True, or REPLAY=1" in capsys.readouterr().out.splitlines()[0]
    train(stripes, None)
    assert capsys.readouterr().out.startswith("Training Small on cpu in float32.\n")


def test_a_stopped_training_is_not_recorded(recordings, stripes, spy, monkeypatch):
    monkeypatch.setattr(spy, "forward", lambda x: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        train(stripes, False, spy)
    assert not recordings.exists()


def test_what_cannot_be_recorded_costs_no_training(recordings, stripes, monkeypatch, capsys):
    def full_disk(*given, **named):
        raise SafetensorError("No space left on device")

    monkeypatch.setattr(replay, "save_file", full_disk)
    trained, history = train(stripes, False)
    assert len(history) == 3 and how_far(trained) is None
    assert "finished, but not recorded for a replay: No space left on device" in capsys.readouterr().out
    assert not list(recordings.iterdir())


def test_a_run_is_compared_with_the_recordings(home, stripes, monkeypatch):
    monkeypatch.setattr(replay, "RECORDINGS", home / "committed")
    model, history = train(stripes, False)
    assert replay.compare_with_recordings() == [f"there are no recordings in {home / 'committed'}"]
    replay.recordings_of_this_run().rename(replay.RECORDINGS)
    assert replay.compare_with_recordings() == ["Small: recorded, but not trained in this run"]
    notes = replay.read_recording(replay.RECORDINGS / "Small.safetensors")[1]["training"]
    reached = history["validation_accuracy"].iloc[-1]
    for difference, lines in [(0.009, 0), (-0.011, 1)]:
        history.loc[2, "validation_accuracy"] = reached + difference
        replay.keep_recording(model, notes, history)
        assert len(replay.compare_with_recordings()) == lines


def test_a_replay_takes_under_two_seconds(recordings, real):
    from helpers.data import load_split

    model, images = models.BatchNormCNN(), load_split("train")
    optimizer = torch.optim.Adam(model.parameters())
    given = (images, load_split("validation"), optimizer, 10, 64)
    notes = replay.describe_training(model, *given, None, None, None, F.cross_entropy, config.SEED)
    history = training.pd.DataFrame({"epoch": [1], "train_loss": [0.5], "train_accuracy": [0.8], "seconds": [1.0]})
    replay.keep_recording(model, notes, history)
    started = time.perf_counter()
    training.fit(model, *given, replay=True)
    assert time.perf_counter() - started < 2
