"""`fit`: what it counts, repeats, records and survives."""

import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import TensorDataset

from helpers import augment, config, data, evaluation, models, training
from helpers.device import set_seed

pytestmark = pytest.mark.usefixtures("home")
COLUMNS = ["epoch", "learning_rate", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy"]


def adam(model, lr=1e-2):
    return torch.optim.Adam(model.parameters(), lr=lr)


def fail_at(call, error):
    """Make a cross-entropy that raises, or returns, something else at its n-th call."""
    calls = []

    def loss_fn(outputs, labels):
        calls.append(1)
        if len(calls) == call:
            if isinstance(error, BaseException):
                raise error
            return outputs.sum() * error
        return F.cross_entropy(outputs, labels)

    return loss_fn


def test_fit_learns_and_measures_on_images_it_has_not_seen(stripes, linear):
    model = linear()
    history = training.fit(model, stripes(200, seed=1), stripes(50, seed=2), adam(model), epochs=3, batch_size=20)
    assert history.columns.tolist() == [*COLUMNS, "seconds"]
    assert history["epoch"].tolist() == [1, 2, 3]
    assert history["train_loss"].iloc[-1] < 0.5 * history["train_loss"].iloc[0]
    assert history["validation_accuracy"].iloc[-1] >= 0.95
    assert (history["seconds"] > 0).all()


def test_validation_figures_come_from_the_validation_images(stripes, linear):
    model, train, validation = linear(), stripes(100), stripes(50)
    validation = TensorDataset(validation.tensors[0], (validation.tensors[1] + 1) % 10)  # all labels wrong
    history = training.fit(model, train, validation, adam(model), epochs=4, batch_size=10)
    assert history["train_accuracy"].iloc[-1] >= 0.9
    assert history["validation_accuracy"].iloc[-1] <= 0.1


def test_figures_are_sums_over_samples_when_the_last_batch_is_smaller(pixels, pixel_reader):
    # Without learning, each figure is known: four of five samples are right, and the loss is that of all five.
    levels = [[255 if pixel == number else 0 for pixel in range(10)] for number in range(5)]
    dataset = pixels(levels, [0, 1, 2, 3, 9])
    optimizer = torch.optim.SGD(pixel_reader.parameters(), lr=0.0)
    row = training.fit(pixel_reader, dataset, dataset, optimizer, epochs=1, batch_size=4).iloc[0]
    loss = F.cross_entropy(pixel_reader(data.normalize(dataset.tensors[0])), dataset.tensors[1]).item()
    assert row["train_accuracy"] == row["validation_accuracy"] == 0.8
    assert row["train_loss"] == pytest.approx(loss, rel=1e-5)
    assert row["validation_loss"] == pytest.approx(loss, rel=1e-5)


def test_each_epoch_trains_in_train_mode_and_measures_in_eval_mode(stripes, spy):
    training.fit(spy.eval(), stripes(30), stripes(10), adam(spy), epochs=2, batch_size=10)
    assert spy.modes == [True, True, True, False] * 2


def test_training_images_are_normalised_and_all_shown(stripes, spy):
    dataset = stripes(30)
    training.fit(spy, dataset, stripes(10), adam(spy), epochs=1, batch_size=12)
    shown = torch.cat(spy.inputs[:3]).flatten(1)
    expected = ((dataset.tensors[0] / 255 - data.TRAIN_MEAN) / data.TRAIN_STD).flatten(1)
    assert not torch.allclose(shown, expected)  # shuffled
    # Sorted by their sums, the images are the same ones.
    torch.testing.assert_close(shown[shown.sum(1).argsort()], expected[expected.sum(1).argsort()])


def test_one_step_is_plain_gradient_descent(stripes, linear):
    model, by_hand, dataset = linear(), linear(), stripes(20)
    loss = F.cross_entropy(by_hand(data.normalize(dataset.tensors[0])), dataset.tensors[1])
    loss.backward()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    history = training.fit(model, dataset, dataset, optimizer, epochs=1, batch_size=20)
    torch.testing.assert_close(model[1].weight, by_hand[1].weight - 0.1 * by_hand[1].weight.grad)
    assert history["train_loss"].iloc[0] == pytest.approx(loss.item(), rel=1e-5)


def test_gradients_do_not_pile_up_over_batches(stripes, linear):
    model, by_hand, dataset = linear(), linear(), stripes(10)
    optimizer = torch.optim.SGD(by_hand.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        F.cross_entropy(by_hand(data.normalize(dataset.tensors[0])), dataset.tensors[1]).backward()
        optimizer.step()
    training.fit(model, dataset, dataset, torch.optim.SGD(model.parameters(), lr=0.1), epochs=3, batch_size=10)
    torch.testing.assert_close(model[1].weight, by_hand[1].weight)


def test_set_seed_fixes_python_numpy_and_pytorch():
    def draw(seed):
        set_seed(seed)
        return random.random(), np.random.random(), torch.rand(1).item()

    assert draw(1) == draw(1)
    assert all(one != other for one, other in zip(draw(1), draw(2), strict=True))


def test_the_same_seed_repeats_the_history_exactly_and_another_does_not(stripes):
    def run(seed):
        set_seed(seed)
        model = models.MLP()  # has dropout
        history = training.fit(model, stripes(60), stripes(30), adam(model, 1e-3), 2, 16, seed=seed)
        return history.drop(columns="seconds"), model.state_dict()

    (first, weights), (again, same_weights), (other, _) = run(1), run(1), run(2)
    assert first.equals(again)
    assert all(torch.equal(weights[key], same_weights[key]) for key in weights)
    assert not first.equals(other)


@pytest.mark.parametrize("make", [models.MLP, models.LogisticRegression])  # with dropout, without
def test_seed_alone_decides_the_order_and_the_dropout(stripes, make):
    set_seed(0)
    weights = make().state_dict()
    losses = []
    for seed in (1, 1, 2):
        model = make()
        model.load_state_dict(weights)
        losses.append(training.fit(model, stripes(), stripes(), adam(model), 1, 16, seed=seed)["train_loss"].item())
    assert losses[0] == losses[1] != losses[2]


def of_seeds(train, make, dataset, **options):
    """Train a network of the same first weights with the seeds 0, 0, 1 and with none, and return what `train` tells."""
    set_seed(3)
    weights, told = make().state_dict(), []
    for seed in ({"seed": 0}, {"seed": 0}, {"seed": 1}, {}):
        model = make()
        model.load_state_dict(weights)
        torch.manual_seed(4)  # what went before must not matter
        told.append(train(model, dataset, None, adam(model), 1, 16, **seed, **options))
    return told


def test_the_seed_decides_the_order_of_the_images_by_itself(stripes, spy):
    of_seeds(training.fit, lambda: spy, stripes(40))  # without dropout
    shown = [torch.cat(spy.inputs[first : first + 3]) for first in range(0, 12, 3)]
    assert torch.equal(shown[0], shown[1]) and not torch.equal(shown[0], shown[2])
    assert torch.equal(shown[0], shown[3])  # the seed of the series


def test_the_seed_decides_the_dropout_and_the_changed_images_by_itself(stripes):
    images, labels = stripes(1).tensors
    alike = TensorDataset(images.repeat(40, 1, 1, 1), labels.repeat(40))  # so that their order changes nothing
    for make, options in [(models.MLP, {}), (models.LogisticRegression, {"augment": augment.random_shift})]:
        first, again, other, by_default = (
            told["train_loss"].item() for told in of_seeds(training.fit, make, alike, **options)
        )
        assert first == again == by_default != other


def test_a_stopped_training_keeps_what_the_model_has_learned(stripes, linear):
    model = linear()
    before = model[1].weight.clone()
    loss_fn = fail_at(5, KeyboardInterrupt())  # three batches an epoch: in the middle of the second
    history = training.fit(model, stripes(30), stripes(10), adam(model), 4, 10, loss_fn=loss_fn)
    assert history["epoch"].tolist() == [1, 2] and history.attrs["stopped"] == "epoch 2 of 4"
    assert not torch.equal(model[1].weight, before)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_with_the_likely_cause_and_the_history(stripes, linear, bad):
    model, loss_fn = linear(), fail_at(5, bad)
    with pytest.raises(training.LossNotFiniteError, match="learning rate that is too high") as caught:
        training.fit(model, stripes(30), stripes(10), adam(model), 4, 10, loss_fn=loss_fn)
    assert "(it is 0.01)" in str(caught.value) and "after 10 images" in str(caught.value)
    assert caught.value.history["epoch"].tolist() == [1]
    assert torch.isfinite(model[1].weight).all()


def test_a_huge_learning_rate_is_stopped_before_it_spoils_the_weights(stripes):
    torch.manual_seed(0)
    model = models.MLP()
    with pytest.raises(training.LossNotFiniteError):
        training.fit(model, stripes(60), stripes(10), torch.optim.SGD(model.parameters(), lr=1e25), 9, 10)
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())


def test_the_history_holds_the_learning_rate_each_epoch_was_trained_with(stripes, linear):
    model = linear()
    optimizer = adam(model, 0.1)
    scheduler = StepLR(optimizer, step_size=2, gamma=0.1)
    history = training.fit(model, stripes(20), stripes(10), optimizer, 5, 20, scheduler=scheduler)
    assert history["learning_rate"].tolist() == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001])


def test_macro_metrics_are_there_when_asked_for(stripes, linear):
    model, validation = linear(), stripes(33)
    history = training.fit(model, stripes(30), validation, adam(model, 0.0), 2, 10, macro_metrics=True)
    assert history.columns.tolist() == [*COLUMNS, "precision", "recall", "f1", "seconds"]
    labels, predictions, _ = evaluation.predict(model, validation)
    assert history.iloc[-1][["precision", "recall", "f1"]].to_dict() == evaluation.macro_scores(labels, predictions)


def test_tensorboard_reads_what_each_epoch_logged(stripes, linear, tmp_path):
    model = linear()
    history = training.fit(model, stripes(20), stripes(10), adam(model), 3, 20, log_dir=tmp_path / "log")
    log = EventAccumulator(str(tmp_path / "log")).Reload()
    assert sorted(log.Tags()["scalars"]) == sorted(COLUMNS[1:])
    points = log.Scalars("validation_loss")
    assert [point.step for point in points] == [1, 2, 3]
    assert [point.value for point in points] == pytest.approx(history["validation_loss"].tolist())


def test_fast_shortens_a_long_training_and_says_so(stripes, linear, monkeypatch, capsys):
    monkeypatch.setattr(config, "FAST", True)
    monkeypatch.setattr(config, "FAST_IMAGES", 30)
    train, model = stripes(40), linear()

    def trained_on(epochs):
        """Return the images of each batch of a training."""
        seen = []
        training.fit(model, train, None, adam(model), epochs, 20, augment=lambda images: seen.append(images) or images)
        return [[image.numpy().tobytes() for image in images] for images in seen]

    batches = trained_on(20)
    assert [len(batch) for batch in batches] == [20, 10, 20, 10]
    assert {*batches[0], *batches[1]} == {image.numpy().tobytes() for image in train.tensors[0][:30]}
    assert "FAST=1: 2 of 20 epochs, 30 of 40 images." in capsys.readouterr().out
    assert [len(batch) for batch in trained_on(2)] == [20, 20, 20, 20]
    assert "FAST" not in capsys.readouterr().out


def test_of_several_learning_rates_the_history_holds_the_first(stripes, linear):
    model = linear()
    groups = [{"params": [model[1].weight], "lr": 0.3}, {"params": [model[1].bias], "lr": 0.2}]
    history = training.fit(model, stripes(20), None, torch.optim.SGD(groups), 1, 20)
    assert history["learning_rate"].tolist() == [0.3]


def test_bfloat16_is_used_in_the_forward_pass_only(stripes, monkeypatch, spy):
    monkeypatch.setattr(training, "choose_precision", lambda *arguments: torch.bfloat16)
    inside, outside = [], []
    spy.linear.register_forward_hook(lambda layer, inputs, output: inside.append(output.dtype))

    def loss_fn(outputs, labels):
        outside.append(outputs.dtype)
        return F.cross_entropy(outputs, labels)

    training.fit(spy, stripes(10), stripes(10), adam(spy), 1, 10, loss_fn=loss_fn)
    assert inside == [torch.bfloat16, torch.float32]  # training, then predict
    assert outside == [torch.float32] and spy.linear.weight.dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_format_that_is_asked_for_is_used_without_a_trial(stripes, monkeypatch, spy, dtype, capsys):
    monkeypatch.setattr(training, "choose_precision", lambda *arguments: pytest.fail("asked"))
    inside = []
    spy.linear.register_forward_hook(lambda layer, inputs, output: inside.append(output.dtype))
    training.fit(spy, stripes(10), None, adam(spy), 1, 10, dtype=dtype)
    assert inside == [dtype] and f"in {str(dtype).removeprefix('torch.')}." in capsys.readouterr().out


def test_augment_changes_the_training_images_and_leaves_the_validation_images(stripes, spy):
    train, validation = stripes(20), stripes(10)
    training.fit(spy, train, validation, adam(spy), 1, 10, augment=lambda images: 255 - images)
    expected = data.normalize(255 - train.tensors[0]).flatten(1)
    shown = torch.cat(spy.inputs[:2]).flatten(1)
    torch.testing.assert_close(shown[shown.sum(1).argsort()], expected[expected.sum(1).argsort()])
    torch.testing.assert_close(spy.inputs[2], data.normalize(validation.tensors[0]))


def test_a_batch_scheduler_is_stepped_after_each_batch(stripes, linear):
    model = linear()
    optimizer = adam(model, 0.1)
    scheduler = StepLR(optimizer, step_size=1, gamma=0.5)
    history = training.fit(model, stripes(30), stripes(10), optimizer, 2, 10, batch_scheduler=scheduler)
    assert history["learning_rate"].tolist() == pytest.approx([0.1, 0.1 * 0.5**3])
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1 * 0.5**6)


def test_without_validation_images_nothing_is_measured_after_an_epoch(stripes, spy, capsys):
    history = training.fit(spy, stripes(20), None, adam(spy), 2, 10)
    assert history.columns.tolist() == ["epoch", "learning_rate", "train_loss", "train_accuracy", "seconds"]
    assert spy.modes == [True] * 4  # no pass in evaluation mode
    assert "validation" not in capsys.readouterr().out


def test_a_callback_sees_the_model_after_each_epoch(stripes, spy):
    seen = []
    training.fit(
        spy,
        stripes(30),
        stripes(10),
        adam(spy),
        epochs=3,
        batch_size=10,
        after_epoch=lambda epoch, model: seen.append((epoch, model is spy, model.training, len(spy.modes))),
    )
    # Three batches and one look at the validation images in each epoch, which come before the callback.
    assert seen == [(1, True, False, 4), (2, True, False, 8), (3, True, False, 12)]
    assert spy.modes == [True, True, True, False] * 3
