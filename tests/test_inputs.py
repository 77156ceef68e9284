"""Wrong input: one message that says what was expected, what came and how to get there; harmless input is taken."""

import re
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau, StepLR
from torch.utils.data import DataLoader, Subset, TensorDataset, random_split
from torchvision.datasets import FakeData, FashionMNIST
from torchvision.transforms import v2

from helpers import augment, config, data, evaluation, inputs, models, training

pytestmark = pytest.mark.usefixtures("home")
GREY = torch.randint(0, 256, (20, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(20) % 10
GOOD = TensorDataset(GREY, LABELS)

# The same images in other forms; the message names the code that brings them back, or says why there is none.
IMAGES = {
    "scaled": GREY.float() / 255,
    "floats of 0 to 255": GREY.float(),
    "doubles": GREY.double() / 255,
    "half": (GREY.float() / 255).half(),
    "bfloat16 of grey levels": (GREY // 2).to(torch.bfloat16),
    "int64": GREY.long(),
    "no channel": GREY[:, 0],
    "no channel, scaled": GREY[:, 0].float() / 255,
    "flat rows": GREY.flatten(1),
    "flat rows of a CSV file": GREY.flatten(1).long(),
    "flat rows, scaled": GREY.flatten(1).double() / 255,
    "flat with a channel": GREY.flatten(2),
    "flat with a channel last": GREY.flatten(1)[..., None],
    "channel last": GREY.permute(0, 2, 3, 1),
    "three channels": GREY.expand(-1, 3, -1, -1),
    "three channels last, scaled": GREY.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).float() / 255,
    "32 x 32": F.pad(GREY, (2, 2, 2, 2)),
    "32 x 32, scaled": F.pad(GREY, (2, 2, 2, 2)).float() / 255,
    "32 x 32 without channel": F.pad(GREY, (2, 2, 2, 2))[:, 0],
    "three channels of 14 x 14": GREY[:, :, ::2, ::2].expand(-1, 3, -1, -1),
    "black and white": GREY > 100,
}


def uses_of(dataset):
    """Give every function that takes a data set of images and labels, by name."""
    model = models.LogisticRegression()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return {
        "predict": lambda: evaluation.predict(model, dataset),
        "predict_tta": lambda: augment.predict_tta(model, dataset),
        "fit (train)": lambda: training.fit(model, dataset, None, optimizer, 1, 10),
        "fit (validation)": lambda: training.fit(model, GOOD, dataset, optimizer, 1, 10),
    }


def messages_about(dataset, error=ValueError):
    """Call each of them; each must refuse, before anything is trained, under its own name."""
    messages = []
    uses = uses_of(dataset)
    if error is TypeError:  # the loader takes other tensors too
        uses["make_loader"] = lambda: data.make_loader(dataset, 10)
    for name, use in uses.items():
        with pytest.raises(error) as caught:
            use()
        assert str(caught.value).startswith(f"{name} wants ")
        messages.append(str(caught.value))
    return messages


@pytest.mark.parametrize("kind", IMAGES)
def test_images_of_another_form_are_refused_and_the_code_in_the_message_makes_them_right(kind):
    images = IMAGES[kind]
    for message in messages_about(TensorDataset(images, LABELS)):
        assert "uint8 tensor (N, 1, 28, 28) from 0 to 255" in message
        came = re.search(r"but got (\w+) (\(.*?\))", message)
        assert came.groups() == (str(images.dtype).removeprefix("torch."), str(tuple(images.shape)))
    code = re.search(r"images = (.*)\. They", message).group(1)
    assert ("after `from torchvision.transforms import v2`" in message) == ("v2" in code)
    with warnings.catch_warnings(action="error"):
        right = eval(code, {"images": images, "torch": torch, "v2": v2})
    assert inputs.check_images("This", right) is right and len(right) == 20
    if "32" not in kind and "14" not in kind and kind not in ("black and white", "bfloat16 of grey levels"):
        assert (right.int() - GREY.int()).abs().max() <= 1  # half and grey of colour round


def test_images_that_are_normalised_already_are_refused_everywhere():
    once = data.normalize(GREY)
    for message in messages_about(TensorDataset(once, LABELS)):
        assert "as load_split returns them" in message and "once" in message
    with pytest.raises(ValueError, match="normalised already"):
        data.normalize(once)


@pytest.mark.parametrize("images", [GREY.float() / 255, GREY[0, 0].float(), GREY.int(), torch.rand(3, 28, 28)])
def test_normalize_takes_grey_levels_of_any_shape_and_nothing_that_was_scaled(images):
    with pytest.raises(ValueError, match="normalize wants a uint8 tensor") as caught:
        data.normalize(images)
    right = eval(re.search(r"images = (.*)\.$", str(caught.value)).group(1), {"images": images, "torch": torch})
    assert data.normalize(right).shape == images.shape
    with pytest.raises(TypeError, match=r"torch\.from_numpy"):
        data.normalize(images.numpy())


@pytest.mark.parametrize(
    "shape", [(20, 2, 28, 28), (20, 1, 1, 28, 28), (20, 3, 784), (3, 28, 28), (20, 5), (20,), (20, 400)]
)
def test_images_without_an_obvious_way_are_refused_with_what_is_wanted(shape):
    for message in messages_about(TensorDataset(torch.zeros(shape, dtype=torch.uint8), LABELS[: shape[0]])):
        assert str(shape) in message and "(N, 1, 28, 28)" in message and "images = " not in message


@pytest.mark.parametrize(
    ("labels", "code"),
    [
        (F.one_hot(LABELS), "labels.argmax(axis=1)"),
        (F.one_hot(LABELS).float(), "labels.argmax(axis=1)"),
        (LABELS[:, None], "labels[:, 0]"),
        (LABELS.float(), "labels.long()"),
        (LABELS[:, None].double(), "labels[:, 0].long()"),
        (LABELS + 1, "labels - 1"),
        (LABELS.float() + 1, "labels.long() - 1"),
    ],
)
def test_labels_of_another_form_are_refused_and_the_code_in_the_message_makes_them_right(labels, code):
    messages = messages_about(TensorDataset(GREY, labels))
    assert all(message.endswith(f"To convert: labels = {code}.") for message in messages)
    assert torch.equal(eval(code, {"labels": labels}), LABELS)


@pytest.mark.parametrize("labels", [LABELS - 1, LABELS * 100, LABELS + 0.5, torch.zeros(20, 3), LABELS > 3])
def test_labels_that_are_no_class_numbers_are_refused_with_what_came(labels):
    for message in messages_about(TensorDataset(GREY, labels)):
        assert "from 0 to 9, but got" in message and str(tuple(labels.shape)) in message


@pytest.mark.parametrize(
    ("dataset", "way"),
    [
        (DataLoader(GOOD, batch_size=10), "loader.dataset"),
        ([GREY, LABELS], "TensorDataset(images, labels)"),
        ((GREY, LABELS), "TensorDataset(images, labels)"),
        (GREY, "The labels are missing"),
        (GREY.numpy(), "The labels are missing"),
        ("validation", "load_split('validation')"),
        (FakeData(20, (1, 28, 28)), "torch.stack"),
        (Subset(FakeData(20, (1, 28, 28)), range(5)), "torch.stack"),
        ([(image, label) for image, label in zip(GREY, LABELS, strict=True)], "torch.stack([image for image, _ in"),
        ([(GREY[0], 3), (GREY[1], 4)], "torch.stack([image for image, _ in"),
        ([], "load_split"),
        (TensorDataset, "the class TensorDataset"),
        (pd.DataFrame({"label": [1]}), "Of a table whose first column holds the labels"),
        (7, "7"),
    ],
)
def test_what_is_no_tensor_dataset_is_refused_with_the_way_to_one(dataset, way):
    for message in messages_about(dataset, TypeError):
        assert "a TensorDataset of images, uint8" in message and way in message


def test_a_data_set_of_torchvision_is_refused_with_the_way_to_one(real):
    published = FashionMNIST(real.parents[1], train=False)
    chosen = Subset(published, [1, 5])
    for given, numbers in [(published, range(10_000)), (chosen, [1, 5]), (Subset(chosen, [1]), [5])]:
        for message in messages_about(given, TypeError):
            code = re.search(r"torchvision: (.*)\. Its transform", message).group(1)
        made = eval(code, {"dataset": given, "TensorDataset": TensorDataset, "Subset": Subset})
        images, labels = inputs.check_dataset("This", made).tensors
        assert torch.equal(images[:, 0], published.data[list(numbers)])
        assert torch.equal(labels, published.targets[list(numbers)])


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float32])
def test_a_table_with_its_labels_in_the_first_column_is_taken_apart_by_the_code_in_the_message(dtype):
    table = torch.cat([LABELS[:, None], GREY.flatten(1)], dim=1).to(dtype)
    for message in messages_about(TensorDataset(table, LABELS)):
        code = re.search(r"taken apart by: (.*)\.$", message).group(1)
    found = {"table": table, "torch": torch}
    exec(code, found)
    assert torch.equal(inputs.check_images("This", found["images"]), GREY) and torch.equal(found["labels"], table[:, 0])


def test_a_table_of_pandas_is_taken_apart_by_the_code_in_the_message():
    table = pd.DataFrame(torch.cat([LABELS[:, None], GREY.flatten(1)], dim=1).numpy())
    code = re.search(r"holds the labels: (.*)\.$", messages_about(table, TypeError)[0]).group(1)
    made = eval(code, {"table": table, "torch": torch, "TensorDataset": TensorDataset})
    assert all(torch.equal(*pair) for pair in zip(made.tensors, (GREY, LABELS), strict=True))


def test_a_data_set_whose_images_are_no_tensor_is_collected(monkeypatch):
    other = FakeData(20, (3, 32, 32))
    other.data, other.targets = np.zeros((20, 32, 32, 3), "uint8"), [0] * 20  # as CIFAR10's
    assert all("torch.stack" in message and ".data" not in message for message in messages_about(other, TypeError))


def test_samples_in_a_list_are_put_together_by_the_code_in_the_message():
    for samples in (list(zip(GREY, LABELS, strict=True)), list(zip(GREY, LABELS.tolist(), strict=True))):
        code = re.search(r"together: (.*)\.$", messages_about(samples, TypeError)[0]).group(1)
        made = eval(code, {"samples": samples, "torch": torch, "TensorDataset": TensorDataset})
        assert all(torch.equal(*pair) for pair in zip(made.tensors, (GREY, LABELS), strict=True))


def test_no_training_data_or_data_without_labels_are_refused():
    model = models.LogisticRegression()
    with pytest.raises(TypeError, match=r"fit \(train\) wants .* but got None"):
        training.fit(model, None, GOOD, torch.optim.SGD(model.parameters(), lr=0.1), 1, 10)
    assert all("of 1 tensors" in message for message in messages_about(TensorDataset(GREY)))
    assert all("of 3 tensors" in message for message in messages_about(TensorDataset(GREY, LABELS, LABELS)))


def test_an_empty_data_set_is_refused():
    assert all("an empty one" in message for message in messages_about(TensorDataset(GREY[:0], LABELS[:0])))
    assert all("an empty one" in message for message in messages_about(Subset(GOOD, [])))
    with pytest.raises(ValueError, match=r"make_loader wants .* an empty one"):
        data.make_loader(Subset(GOOD, []), 10)


def test_images_and_labels_of_different_length_are_refused():
    dataset = TensorDataset(GREY, LABELS)
    dataset.tensors = (GREY, LABELS[:5])
    assert all("20 images, 5 labels" in message for message in messages_about(dataset))


@pytest.mark.parametrize("dtype", [torch.int32, torch.int16, torch.uint8])
def test_labels_of_any_integer_type_give_the_same_as_int64(dtype):
    model = models.LogisticRegression()
    one, other = (evaluation.predict(model, TensorDataset(GREY, labels)) for labels in (LABELS, LABELS.to(dtype)))
    assert all(np.array_equal(*pair) for pair in zip(one, other, strict=True))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    assert len(training.fit(model, TensorDataset(GREY, LABELS.to(dtype)), None, optimizer, 1, 10)) == 1


def test_a_selection_of_a_data_set_is_taken_in_its_order():
    chosen = [7, 3, 3, 19]
    expected = TensorDataset(GREY[chosen], LABELS[chosen])
    model = models.LogisticRegression()
    nested = Subset(Subset(GOOD, range(19, -1, -1)), [19 - each for each in chosen])
    for subset in (Subset(GOOD, chosen), Subset(GOOD, torch.tensor(chosen)), Subset(GOOD, np.array(chosen)), nested):
        for use in (evaluation.predict, augment.predict_tta):
            pairs = zip(use(model, subset), use(model, expected), strict=True)
            assert all(np.array_equal(*pair) for pair in pairs)
        images, labels = next(iter(data.make_loader(subset, 4)))
        assert torch.equal(images, GREY[chosen]) and labels.tolist() == [7, 3, 3, 9]
    train, validation = random_split(GOOD, [15, 5])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    assert len(training.fit(model, train, validation, optimizer, 1, 10)) == 1


@pytest.mark.parametrize("bad", [0, -3, 64.0, 2.5, "64", None, True])
def test_numbers_of_images_and_epochs_are_whole_and_positive(bad):
    model = models.LogisticRegression()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    uses = {
        "predict wants batch_size": lambda: evaluation.predict(model, GOOD, bad),
        "make_loader wants batch_size": lambda: data.make_loader(GOOD, bad),
        "fit wants batch_size": lambda: training.fit(model, GOOD, GOOD, optimizer, 1, bad),
        "fit wants epochs": lambda: training.fit(model, GOOD, GOOD, optimizer, bad, 10),
        "reliability_table wants num_bins": lambda: evaluation.reliability_table(range(10), np.eye(10), bad),
    }
    for start, use in uses.items():
        with pytest.raises((TypeError, ValueError), match=f"{start} as a whole number of 1 or more, but got"):
            use()
    assert len(next(iter(data.make_loader(GOOD, np.int64(8))))[0]) == 8


class Two(nn.Module):
    """A model whose outputs can be chosen."""

    def __init__(self, change):
        super().__init__()
        self.linear, self.change = nn.Linear(784, 10), change

    def forward(self, x):
        return self.change(self.linear(x.flatten(1)))


def frozen():
    return models.MLP().requires_grad_(False)


@pytest.mark.parametrize(
    ("model", "error", "text"),
    [
        (models.MLP, TypeError, r"the class MLP. Make one of it: model = MLP\(\)"),
        (F.relu, TypeError, "but got an object of the type function"),
        ("mlp", TypeError, "but got 'mlp'"),
        (None, TypeError, "but got None"),
        (nn.Flatten(), ValueError, "this Flatten has no parameters"),
        (models.MLP().double(), ValueError, r"float64. Write model.float\(\)"),
        (models.MLP().bfloat16(), ValueError, "has bfloat16"),
        (models.MLP().to("meta"), ValueError, "is on meta"),
        (nn.Sequential(models.MLP(), nn.Linear(10, 10, device="meta")), ValueError, r"is on cpu, meta. .*\.to\("),
    ],
)
def test_what_is_no_usable_model_is_refused(model, error, text):
    optimizer = torch.optim.SGD(models.MLP().parameters(), lr=0.1)
    for use in (
        lambda: evaluation.predict(model, GOOD),
        lambda: augment.predict_tta(model, GOOD),
        lambda: training.fit(model, GOOD, GOOD, optimizer, 1, 10),
    ):
        with pytest.raises(error, match=text):
            use()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda outputs: outputs.softmax(dim=1), "are probabilities"),
        (lambda outputs: outputs[:, :5], r"a tensor \(10, 10\) for 10 images, but this Two returned \(10, 5\)"),
        (lambda outputs: outputs.repeat(1, 2), r"returned \(10, 20\)"),
        (lambda outputs: outputs[:, :, None, None], r"returned \(10, 10, 1, 1\)"),
        (lambda outputs: outputs.argmax(dim=1).float(), r"returned \(10,\)"),
        (lambda outputs: (outputs, outputs), "tuple"),
    ],
)
def test_outputs_that_are_no_logits_are_refused_and_the_mode_stays(change, text):
    model = Two(change).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = model.linear.weight.clone()
    with pytest.raises((TypeError, ValueError), match=text):
        evaluation.predict(model, GOOD, batch_size=10)
    assert model.training
    with pytest.raises((TypeError, ValueError), match=text):
        training.fit(model, GOOD, GOOD, optimizer, 1, 10)
    assert torch.equal(model.linear.weight, before)


@pytest.mark.parametrize(
    "loss_fn",
    [F.nll_loss, nn.NLLLoss(), lambda outputs, labels: F.nll_loss(outputs, labels)],
    ids=["function", "module", "lambda"],
)
def test_nll_loss_of_logits_is_refused_and_of_log_probabilities_taken(loss_fn):
    for scale in (1.0, 100.0):
        model = Two(lambda outputs, scale=scale: scale * outputs)
        before = model.linear.weight.clone()
        with pytest.raises(ValueError, match="nll_loss wants log-probabilities"):
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            training.fit(model, GOOD, None, optimizer, 1, 10, loss_fn=loss_fn)
        assert torch.equal(model.linear.weight, before)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randint(0, 256, (128, 1, 28, 28), dtype=torch.uint8, generator=generator)
    dataset = TensorDataset(noise, torch.arange(128) % 10)
    for dtype in (torch.float32, torch.bfloat16):
        torch.manual_seed(0)
        model = models.FashionNet()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        assert len(training.fit(model, dataset, None, optimizer, 1, 128, loss_fn=loss_fn, dtype=dtype)) == 1


@pytest.mark.parametrize(
    "loss_fn",
    [
        nn.CrossEntropyLoss(reduction="none"),
        lambda outputs, labels: F.cross_entropy(outputs, labels).item(),
        lambda outputs, labels: F.cross_entropy(outputs.detach(), labels),
    ],
    ids=["one an image", "a plain number", "no gradient"],
)
def test_a_loss_that_cannot_be_learned_from_is_refused(loss_fn):
    model = models.LogisticRegression()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(ValueError, match="mean over the batch, one number with a gradient, but returned"):
        training.fit(model, GOOD, None, optimizer, 1, 10, loss_fn=loss_fn)


def test_a_relu_or_a_sigmoid_at_the_end_is_not_trained_and_what_only_looks_like_one_is():
    def train(change, images=20):
        model = Two(change)
        few = Subset(GOOD, range(images))
        return training.fit(model, few, None, torch.optim.SGD(model.parameters(), lr=0.001), 1, 20)

    with pytest.raises(ValueError, match="those after a ReLU, none below 0"):
        train(lambda outputs: 10 * torch.relu(outputs))
    with pytest.raises(ValueError, match="those after a sigmoid, none below 0"):
        train(torch.sigmoid)
    assert len(train(lambda outputs: 10 * torch.relu(outputs), images=inputs.ENOUGH_TO_TELL - 1)) == 1
    assert len(train(lambda outputs: 0 * outputs)) == 1  # a last layer that begins with zeros
    assert len(train(lambda outputs: outputs + 10)) == 1
    evaluation.predict(Two(lambda outputs: 9 * F.one_hot(outputs.argmax(dim=1), 10).float()), GOOD)  # a rule


@pytest.mark.parametrize(
    "layers",
    [
        [nn.Conv2d(3, 4, 3), nn.Flatten(), nn.LazyLinear(10)],
        [nn.Flatten(), nn.Linear(1024, 10)],
        [nn.Linear(784, 10)],
        [nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4, 10)],
    ],
)
def test_layers_that_do_not_fit_the_images_are_named_with_the_shape_that_came(layers):
    model = nn.Sequential(*layers)
    if any(isinstance(layer, nn.LazyLinear) for layer in layers):
        model[-1] = nn.Linear(4, 10)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    told = r"layers of this Sequential do not fit a batch of the shape \(10, 1, 28, 28\): .*one channel of 28"
    for use in (
        lambda: evaluation.predict(model, GOOD, 10),
        lambda: training.fit(model, GOOD, GOOD, optimizer, 1, 10),
    ):
        with pytest.raises(ValueError, match=told):
            use()


def test_other_errors_of_a_model_stay_as_they_are():
    def fail(outputs):
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match=r"^out of memory$"):
        evaluation.predict(Two(fail), GOOD)


@pytest.mark.filterwarnings("ignore:Using a target size")
def test_a_loss_that_cannot_take_classes_and_a_change_that_loses_images_are_named():
    model = models.LogisticRegression()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for loss_fn in (F.mse_loss, F.binary_cross_entropy_with_logits, nn.BCELoss(), lambda outputs: outputs.mean()):
        with pytest.raises(ValueError, match=r"cannot take the outputs, float32 \(8, 10\), and the labels, int64"):
            training.fit(model, GOOD, None, optimizer, 1, 8, loss_fn=loss_fn)
    with pytest.raises(ValueError, match=r"After augment, fit wants one entry a sample .* 5 images, 10 labels"):
        training.fit(model, GOOD, None, optimizer, 1, 10, augment=lambda images: images[::2])


@pytest.mark.parametrize("dtype", [torch.int8, torch.float16, torch.float64, "bfloat16"])
def test_a_number_format_that_nothing_trains_in_is_refused(dtype):
    model = models.LogisticRegression()
    with pytest.raises(ValueError, match=r"torch.float32 or torch.bfloat16, or left out, but got"):
        training.fit(model, GOOD, None, torch.optim.SGD(model.parameters(), lr=0.1), 1, 10, dtype=dtype)


def test_an_optimizer_that_wants_a_closure_is_refused():
    model = models.LogisticRegression()
    with pytest.raises(TypeError, match="LBFGS computes the loss several times"):
        training.fit(model, GOOD, None, torch.optim.LBFGS(model.parameters()), 1, 10)


def test_functions_are_refused_as_classes_and_what_cannot_be_called_before_anything_is_trained():
    model = models.LogisticRegression()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for name, wrong, text in [
        ("loss_fn", nn.CrossEntropyLoss, r"the class CrossEntropyLoss. Make one of it: loss_fn=CrossEntropyLoss\(\)"),
        ("loss_fn", None, "such as F.cross_entropy, but got None"),
        ("loss_fn", "cross_entropy", "but got 'cross_entropy'"),
        ("augment", v2.RandomHorizontalFlip, r"augment=RandomHorizontalFlip\(\)"),
        ("augment", GREY, r"such as random_flip, but got uint8 \(20, 1, 28, 28\)"),
        ("after_epoch", 3, "but got 3"),
    ]:
        with pytest.raises(TypeError, match=f"fit wants {name} as a function, .*{text}"):
            training.fit(model, GOOD, GOOD, optimizer, 1, 10, **{name: wrong})


def test_a_schedule_whose_steps_do_not_fit_is_refused_before_anything_is_trained():
    model = models.LogisticRegression()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)  # two epochs of 20 images, 8 at a time, are 6 batches
    one_cycle = {steps: OneCycleLR(optimizer, 0.1, total_steps=steps) for steps in (2, 5, 6)}
    with pytest.raises(ValueError, match="once an epoch, 2 times in all, but this OneCycleLR is made for 6 steps"):
        training.fit(model, GOOD, None, optimizer, 2, 8, scheduler=one_cycle[6])
    with pytest.raises(ValueError, match=r"6 times in all, .* for 5 steps\. Make it with total_steps=6"):
        training.fit(model, GOOD, None, optimizer, 2, 8, batch_scheduler=one_cycle[5])
    for name, steps in {"scheduler": 2, "batch_scheduler": 6}.items():
        schedule = OneCycleLR(optimizer, 0.1, total_steps=steps)
        assert len(training.fit(model, GOOD, None, optimizer, 2, 8, **{name: schedule})) == 2


def test_a_diverged_model_is_told_and_never_looks_well_calibrated(capsys):
    evaluation.predict(Two(lambda outputs: outputs), GOOD)
    assert "NaN" not in capsys.readouterr().out
    diverged = Two(lambda outputs: torch.where(torch.arange(len(outputs))[:, None] < 3, torch.nan, outputs))
    labels, _, probabilities = evaluation.predict(diverged, GOOD)
    assert "Of 3 of 20 images this Two computes no number (NaN)" in capsys.readouterr().out
    assert np.isnan(evaluation.expected_calibration_error(labels, probabilities))


@pytest.mark.parametrize(
    "loss_fn",
    [
        nn.CrossEntropyLoss(label_smoothing=0.1),
        lambda outputs, labels: F.cross_entropy(outputs, labels) - 10,  # negative, as a bonus may make it
        lambda outputs, labels: -outputs.softmax(dim=1).gather(1, labels[:, None]).mean(),
    ],
)
def test_losses_of_ones_own_are_taken(loss_fn):
    model = models.LogisticRegression()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    assert len(training.fit(model, GOOD, GOOD, optimizer, 1, 10, loss_fn=loss_fn)) == 1


@pytest.mark.parametrize("loss_fn", [nn.CrossEntropyLoss(reduction="sum"), nn.NLLLoss(reduction="sum")])
def test_the_sum_over_the_batch_is_refused(loss_fn):
    model = models.FashionNet()  # its log-probabilities suit both
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(ValueError, match="returned the sum, so every step would be 10 times as large"):
        training.fit(model, GOOD, None, optimizer, 1, 10, loss_fn=loss_fn)


def test_probabilities_are_known_in_bfloat16_too():
    rows = torch.rand(200, 10, generator=torch.Generator().manual_seed(0)).softmax(dim=1).bfloat16()
    assert (rows.float().sum(dim=1) - 1).abs().max() > 1e-3
    labels = torch.arange(200) % 10
    assert evaluation.cross_entropy(labels, rows) == pytest.approx(
        evaluation.cross_entropy(labels, rows.float() / rows.float().sum(dim=1, keepdim=True)), abs=0.01
    )
    with pytest.raises(ValueError, match="are probabilities"):
        inputs.check_outputs(rows, 200, models.MLP())


def test_an_optimizer_over_frozen_layers_alone_is_refused():
    model = models.MLP()
    first, *rest = model.parameters()
    first.requires_grad = False
    with pytest.raises(
        ValueError, match=f"holds 0 of the {len(rest)} that this MLP can learn, and 1 others: all it holds are frozen"
    ):
        training.fit(model, GOOD, None, torch.optim.SGD([first], lr=0.1), 1, 10)


def test_an_optimizer_over_another_model_is_refused():
    old, model = models.MLP(), models.MLP()
    with pytest.raises(
        ValueError, match="holds 0 of the 6 that this MLP can learn, and 6 others: it was made for another"
    ):
        training.fit(model, GOOD, GOOD, torch.optim.Adam(old.parameters()), 1, 10)
    optimizer = torch.optim.Adam(model.parameters())
    model[-1] = nn.Linear(256, 10)  # after the optimizer was made
    with pytest.raises(ValueError, match="holds 4 of the 6 that this MLP can learn, and 2 others"):
        training.fit(model, GOOD, GOOD, optimizer, 1, 10)
    for wrong in (torch.optim.Adam, "Adam", 0.001, None):
        with pytest.raises(TypeError, match=r"fit wants an optimizer .* torch\.optim\.Adam\(model\.parameters\(\)"):
            training.fit(model, GOOD, GOOD, wrong, 1, 10)
    with pytest.raises(ValueError, match="every parameter of this MLP is frozen"):
        training.fit(frozen(), GOOD, GOOD, optimizer, 1, 10)


def test_an_optimizer_over_a_part_of_the_model_or_over_more_than_it_is_taken():
    model, scale = models.MLP(), nn.Parameter(torch.ones(1))
    for parameters in (model[-1].parameters(), [*model.parameters(), scale]):
        assert len(training.fit(model, GOOD, None, torch.optim.SGD(parameters, lr=0.1), 1, 10)) == 1
    model[1].requires_grad_(False)
    for parameters in (model.parameters(), [p for p in model.parameters() if p.requires_grad] + [scale]):
        assert len(training.fit(model, GOOD, None, torch.optim.SGD(parameters, lr=0.1), 1, 10)) == 1


def test_a_scheduler_over_another_optimizer_or_one_that_wants_a_figure_is_refused():
    model = models.LogisticRegression()
    old, optimizer = (torch.optim.SGD(model.parameters(), lr=0.1) for _ in range(2))
    for name, wrong in {"scheduler": StepLR(old, 1), "batch_scheduler": OneCycleLR(old, 0.1, 9)}.items():
        with pytest.raises(ValueError, match=f"this {type(wrong).__name__} changes the learning rate of another"):
            training.fit(model, GOOD, GOOD, optimizer, 1, 10, **{name: wrong})
    with pytest.raises(TypeError, match="ReduceLROnPlateau, which wants one"):
        training.fit(model, GOOD, GOOD, optimizer, 1, 10, scheduler=ReduceLROnPlateau(optimizer))
    with pytest.raises(TypeError, match="but got the class StepLR"):
        training.fit(model, GOOD, GOOD, optimizer, 1, 10, scheduler=StepLR)


@pytest.mark.parametrize(
    "change", [lambda images: images / 255, data.normalize, lambda images: images[:, 0], lambda images: None]
)
def test_augment_has_to_return_grey_levels(change):
    model = models.LogisticRegression()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises((TypeError, ValueError), match="After augment, fit wants images as a uint8 tensor"):
        training.fit(model, GOOD, GOOD, optimizer, 1, 10, augment=change)


# Each evaluation function, called with labels and answers.
BY_PREDICTIONS = {
    "accuracy": evaluation.accuracy,
    "accuracy_interval": evaluation.accuracy_interval,
    "accuracy_interval, in words": evaluation.describe_accuracy,
    "macro_scores": evaluation.macro_scores,
    "per_class_table": evaluation.per_class_table,
    "confused_pairs": evaluation.confused_pairs,
    "mcnemar, first": lambda labels, answers: evaluation.mcnemar(labels, answers, np.arange(10)),
    "mcnemar, second": lambda labels, answers: evaluation.mcnemar(labels, np.arange(10), answers),
}
BY_PROBABILITIES = {
    "cross_entropy": evaluation.cross_entropy,
    "reliability_table": evaluation.reliability_table,
    "reliability_table, of the error": evaluation.expected_calibration_error,
    "accuracy_by_coverage": evaluation.accuracy_by_coverage,
}
TEN = np.arange(10)
SURE = np.full((10, 10), 0.02) + 0.8 * np.eye(10)


@pytest.mark.parametrize("name", [*BY_PREDICTIONS, *BY_PROBABILITIES])
@pytest.mark.parametrize(
    ("labels", "text"),
    [
        (TEN[:, None], r"int64 \(10, 1\) from 0 to 9\. To convert: labels = labels\[:, 0\]"),
        (np.eye(10), r"float64 \(10, 10\) from 0 to 1\. To convert: labels = labels\.argmax\(axis=1\)"),
        (TEN.astype(float), r"float64 \(10,\) from 0 to 9\. To convert: labels = labels\.astype\(int\)"),
        (torch.arange(10.0), r"float32 \(10,\) from 0 to 9\. To convert: labels = labels\.long\(\)"),
        (TEN + 1, "from 1 to 10. To convert: labels = labels - 1"),
        (TEN - 1, "from -1 to 8"),
        (np.array(config.CLASS_NAMES), r"labels = \[CLASS_NAMES\.index\(each\) for each in labels\]"),
        (TEN.astype(object), r"labels = labels\.astype\(int\)"),
        (config.CLASS_NAMES, r"labels = \[CLASS_NAMES\.index\(each\) for each in labels\]"),
        (TEN[:0], "not a single sample"),
        ([], "not a single sample"),
        (TEN.astype(float).tolist(), r"labels = np\.asarray\(labels\)\.astype\(int\)"),
        (pd.DataFrame(TEN), r"labels = np\.asarray\(labels\)\[:, 0\]"),
        ([[1], [2, 3]], "but got an object of the type list"),
        (None, "but got None"),
        (TEN > 3, r"bool \(10,\)"),
        (np.int64(3), r"int64 \(\)"),
        (TEN[:9], "9 labels"),
        (np.append(TEN, 3), "11 labels"),
        (TEN[:1], "1 labels"),  # would be compared with every answer
    ],
)
def test_labels_that_are_no_class_numbers_of_the_same_samples_are_refused(name, labels, text):
    use, answers = (BY_PREDICTIONS | BY_PROBABILITIES)[name], TEN if name in BY_PREDICTIONS else SURE
    with pytest.raises(ValueError, match=text) as caught:
        use(labels, answers)
    assert str(caught.value).startswith(f"{name.split(',')[0]} wants")


@pytest.mark.parametrize("name", BY_PREDICTIONS)
@pytest.mark.parametrize(
    ("predictions", "text"),
    [
        (TEN[:, None], r"predictions\w* = predictions\w*\[:, 0\]"),
        (SURE, r"predictions\w* = predictions\w*\.argmax\(axis=1\)"),
        (TEN / 10, r"float64 \(10,\) from 0 to 0\.9"),
        (TEN + 5, "from 5 to 14"),
        (TEN[:1], "10 labels, .*1 predictions"),
        (np.append(TEN, 0), "11 predictions"),
    ],
)
def test_predictions_that_are_no_class_numbers_of_the_same_samples_are_refused(name, predictions, text):
    with pytest.raises(ValueError, match=text):
        BY_PREDICTIONS[name](TEN, predictions)


@pytest.mark.parametrize("name", BY_PROBABILITIES)
@pytest.mark.parametrize(
    ("probabilities", "text"),
    [
        (np.eye(10) * 7 - 2, r"rows that sum to -13 to -13\. If these are logits"),
        (np.log(SURE), r"np\.exp\(log_probabilities\)"),
        (torch.from_numpy(SURE).log(), r"np\.exp\(log_probabilities\)"),
        (100 * SURE, "percentages"),
        (SURE.max(axis=1), r"float64 \(10,\) from 0\.82 to 0\.82\. Give predict"),
        (SURE[:, :9], r"\(10, 9\)"),
        (SURE[:1], "10 labels, 1 probabilities"),
        (SURE[:9], "9 probabilities"),
        (SURE[None], r"\(1, 10, 10\)"),
        (TEN, r"int64 \(10,\)"),
        (np.vstack([SURE[:9], SURE[9:] + 0.1]), "rows that sum to 1 to 2"),
        (1.1 * np.eye(10) - 0.1 / 9 * (1 - np.eye(10)), "from -0.01"),
    ],
)
def test_what_is_no_table_of_probabilities_is_refused(name, probabilities, text):
    with pytest.raises(ValueError, match=text):
        BY_PROBABILITIES[name](TEN, probabilities)


@pytest.mark.parametrize("kind", [list, torch.tensor, pd.Series, lambda each: each.astype(np.uint8)])
def test_lists_tensors_columns_and_small_integers_give_the_same_as_arrays(kind):
    wrong = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 8])
    for use in BY_PREDICTIONS.values():
        pd.testing.assert_series_equal(
            *(pd.Series([str(use(*pair))]) for pair in [(TEN, wrong), map(kind, (TEN, wrong))])
        )
    for use in BY_PROBABILITIES.values():
        one, other = use(TEN, SURE), use(kind(TEN), torch.from_numpy(SURE))
        assert str(one) == str(other)


def test_rounded_probabilities_are_taken_and_those_of_a_diverged_model_give_nan():
    assert evaluation.cross_entropy(TEN, SURE.astype(np.float16)) == pytest.approx(-np.log(0.82), abs=1e-3)
    assert np.isnan(evaluation.cross_entropy(TEN, np.full((10, 10), np.nan)))
