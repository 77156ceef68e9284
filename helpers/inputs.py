"""Check what is given to the helpers, once a call: a wrong input gets a sentence that helps, never a wrong figure."""

import math
import numbers

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset

from helpers import config

ENOUGH_TO_TELL = 10  # images, whose logits surely spread beyond 0 to 1
DATASET = "a TensorDataset of images, uint8 (N, 1, 28, 28) from 0 to 255, and labels, int64 (N,) from 0 to 9"


def as_array(values) -> np.ndarray:
    """Return a tensor on any device, a list or a column of a table as a NumPy array."""
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        values = values.float() if values.dtype == torch.bfloat16 else values  # NumPy has no bfloat16
        return values.numpy()
    return np.asarray(values)


def describe(value) -> str:
    """Say what came: type, and of numbers shape and range, such as "float32 (10, 28, 28) from 0 to 1"."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if value is None or isinstance(value, bool | numbers.Number | str):
        return repr(value)
    if not isinstance(value, torch.Tensor | np.ndarray):
        return f"an object of the type {type(value).__name__}"
    text = f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
    array = as_array(value)
    return f"{text} from {array.min():g} to {array.max():g}" if array.size and array.dtype.kind in "iuf" else text


def check_number(where: str, name: str, value, lowest: int = 1) -> None:
    """Raise TypeError or ValueError unless a value is a whole number, `lowest` or more."""
    wanted = f"{where} wants {name} as a whole number of {lowest} or more"
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        way = f" Write {name}={int(value)}." if isinstance(value, float) and value.is_integer() else ""
        raise TypeError(f"{wanted}, but got {describe(value)}.{way}")
    if value < lowest:
        raise ValueError(f"{wanted}, but got {value}.")


def way_to_shape(shape: tuple[int, ...]) -> str | None:
    """Return the code that brings images of a shape to (N, 1, 28, 28); None where there is no obvious one."""
    code = "images"
    if shape == (784,) or (784 in shape[1:] and math.prod(shape[1:]) == 784):
        return "images.reshape(-1, 1, 28, 28)"
    if shape[-1:] in ((1,), (3,)) and len(shape) in (3, 4) and shape[1:2] != (1,):  # the channels stand last
        code = "images[None].permute(0, 3, 1, 2)" if len(shape) == 3 else "images.permute(0, 3, 1, 2)"
        channels, *size = shape[-1], *shape[-3:-1]
    elif len(shape) in (2, 3) and shape[0] != 3:  # (3, 28, 28) may be three images or the colours of one
        code = "images[None, None]" if len(shape) == 2 else "images.unsqueeze(1)"
        channels, *size = 1, *shape[-2:]
    elif len(shape) == 4:
        _, channels, *size = shape
    else:
        return None
    # Too narrow for a picture, so a dimension is something else.
    if channels not in (1, 3) or min(size) < 8 or max(size) > 8 * min(size):
        return None
    if channels == 3:
        code = f"v2.functional.rgb_to_grayscale({code})"
    if size != [28, 28]:
        code = f"v2.functional.resize({code}, [28, 28])"
    return code


def check_images(where: str, images) -> torch.Tensor:
    """Return images as they came if they are a uint8 tensor (N, 1, 28, 28).

    Raises
    ------
    TypeError, ValueError
        For another type, dtype or shape, with the code that leads to the right one.
    """
    if isinstance(images, torch.Tensor) and images.dtype == torch.uint8 and images.shape[1:] == (1, 28, 28):
        return images
    message = f"{where} wants images as a uint8 tensor (N, 1, 28, 28) from 0 to 255, but got {describe(images)}."
    if not isinstance(images, torch.Tensor):
        raise TypeError(f"{message} A NumPy array becomes a tensor by torch.from_numpy(images).")
    code = way_to_shape(tuple(images.shape))
    code = way_to_grey_levels(images, code) if code else None
    if images.shape[1:] == (785,):
        way = (
            "A table whose first column holds the labels is taken apart by: "
            f"labels, images = table[:, 0], {way_to_grey_levels(images, 'table[:, 1:].reshape(-1, 1, 28, 28)')}."
        )
    elif code is None:
        way = "Give them as load_split returns them: they are scaled and normalised inside, once."
    else:
        after = ", after `from torchvision.transforms import v2`" if "v2." in code else ""
        way = f"To convert{after}: images = {code}. They are scaled and normalised inside, once."
    raise ValueError(f"{message} {way}")


def way_to_grey_levels(images: torch.Tensor, code: str = "images") -> str | None:
    """Return the code that brings images to uint8 from 0 to 255; None where they seem to be normalised already."""
    if images.dtype == torch.uint8:
        return code
    low, high = (images.min().item(), images.max().item()) if images.numel() else (0, 0)
    if low < 0 or high > 255:
        return None
    if images.dtype == torch.bool or (images.is_floating_point() and high <= 1):
        return f"({code} * 255.0).round().to(torch.uint8)"
    return f"{code}.to(torch.uint8)"


def check_grey_levels(images) -> None:
    """Raise unless images, of any shape, are a uint8 tensor: others were scaled or normalised before."""
    if isinstance(images, torch.Tensor) and images.dtype == torch.uint8:
        return
    message = (
        "normalize wants a uint8 tensor of grey levels from 0 to 255, as load_split returns them, and scales them "
        f"itself, but got {describe(images)}."
    )
    if not isinstance(images, torch.Tensor):
        raise TypeError(f"{message} A NumPy array becomes a tensor by torch.from_numpy(images).")
    code = way_to_grey_levels(images)
    if code is None:
        raise ValueError(f"{message} These seem to be normalised already: normalise them only once.")
    raise ValueError(f"{message} To convert: images = {code}.")


def check_classes(where: str, name: str, values) -> np.ndarray:
    """Return class numbers, true or predicted, as int64 (N,).

    Parameters
    ----------
    where, name : str
        Function and argument, for the message.
    values : array-like
        Whole numbers from 0 to 9 of any integer type, (N,), at least one.

    Raises
    ------
    ValueError
        For anything else, with the code that leads to the right one.
    """
    try:
        array = as_array(values)
    except ValueError:  # lists of different lengths
        array = np.asarray(None)
    if array.ndim == 1 and array.size and array.dtype.kind in "iu" and 0 <= array.min() <= array.max() <= 9:
        return array.astype(np.int64, copy=False)
    came = describe(values if isinstance(values, torch.Tensor) or array.dtype == object else array)
    message = f"{where} wants {name} as class numbers, whole numbers of shape (N,) from 0 to 9, but got {came}."
    code = start = name if isinstance(values, torch.Tensor | np.ndarray) else f"np.asarray({name})"
    if array.ndim == 2 and array.shape[1] == 1:
        code, array = f"{code}[:, 0]", array[:, 0]
    elif array.ndim == 2 and array.shape[1] == config.NUM_CLASSES:
        code, array = f"{code}.argmax(axis=1)", array.argmax(axis=1)
    if array.ndim == 1 and not array.size:
        raise ValueError(f"{message} There is not a single sample in it: look at what selects them.")
    if array.ndim == 1 and array.dtype.kind == "f" and (array == np.round(array)).all():
        code += ".long()" if isinstance(values, torch.Tensor) else ".astype(int)"
    if array.ndim == 1 and array.dtype.kind in "iuf" and array.min() == 1 and array.max() == 10:
        code += " - 1"
    if array.ndim == 1 and array.dtype == object and all(isinstance(each, numbers.Integral) for each in array):
        code += ".astype(int)"
    elif array.ndim == 1 and array.dtype.kind in "OU":
        code = f"[CLASS_NAMES.index(each) for each in {name}]"
    raise ValueError(message + (f" To convert: {name} = {code}." if code != start else ""))


def check_same_length(where: str, **parts) -> None:
    """Raise ValueError unless all parts have the same length; a shorter one would be repeated or cut unnoticed."""
    lengths = {name: len(part) for name, part in parts.items()}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{number:,} {name}" for name, number in lengths.items())
        raise ValueError(
            f"{where} wants one entry a sample in each argument, in the same order, but got {found}. "
            "Take all of them from the same call of predict, or select the same samples in each."
        )


def check_answers(where: str, labels, **answers) -> tuple[np.ndarray, ...]:
    """Return labels and one or more predictions as int64 (N,) of the same length, or raise ValueError."""
    arrays = {name: check_classes(where, name, values) for name, values in {"labels": labels, **answers}.items()}
    check_same_length(where, **arrays)
    return tuple(arrays.values())


def check_probabilities(where: str, labels, probabilities) -> tuple[np.ndarray, np.ndarray]:
    """Return labels, int64 (N,), and probabilities, float64 (N, 10); NaN, as of a diverged model, is let through.

    Raises
    ------
    ValueError
        If the shapes do not fit together, or a row does not sum to 1, as of logits, with the way to probabilities.
    """
    labels, array = check_classes(where, "labels", labels), as_array(probabilities)
    message = (
        f"{where} wants probabilities as a float array (N, 10) whose rows sum to 1, but got "
        f"{describe(probabilities if isinstance(probabilities, torch.Tensor) else array)}"
    )
    if array.ndim != 2 or array.shape[1] != config.NUM_CLASSES or array.dtype.kind not in "iufb":
        raise ValueError(f"{message}. Give predict(…).probabilities, all ten columns of it.")
    check_same_length(where, labels=labels, probabilities=array)
    array = array.astype(float, copy=False)
    sums = array.sum(axis=1)
    rounding = 1e-2 if getattr(probabilities, "dtype", None) == torch.bfloat16 else 1e-3
    if (array < 0).any() or (np.abs(sums - 1) > rounding).any():
        if (array <= 0).all() and np.allclose(np.exp(array).sum(axis=1), 1, atol=1e-3):
            way = "These are log-probabilities: probabilities = np.exp(log_probabilities)."
        elif (array >= 0).all() and np.allclose(sums, 100, atol=0.1):
            way = "These are percentages: divide them by 100."
        else:
            way = "If these are logits: probabilities = torch.as_tensor(logits).softmax(dim=1), or take predict's."
        raise ValueError(f"{message}, rows that sum to {sums.min():.4g} to {sums.max():.4g}. {way}")
    return labels, array


def way_to_dataset(dataset) -> str:
    """Return a sentence: how to make a TensorDataset of what came."""
    inner, depth = dataset, 0
    while isinstance(inner, Subset):
        inner, depth = inner.dataset, depth + 1
    if isinstance(dataset, DataLoader):
        return "Batches are made inside: give the data set itself, such as loader.dataset, and batch_size."
    if isinstance(dataset, str):
        return f"Load it first: load_split({dataset!r})."
    if isinstance(dataset, tuple | list) and dataset:
        if all(isinstance(sample, tuple | list) and len(sample) == 2 for sample in dataset):
            return (
                "Put the samples together: TensorDataset(torch.stack([image for image, _ in samples]), "
                "torch.tensor([label for _, label in samples]))."
            )
        if len(dataset) == 2:
            return "Put the two together: TensorDataset(images, labels)."
    if isinstance(dataset, pd.DataFrame):
        return (
            "Of a table whose first column holds the labels: "
            "TensorDataset(torch.tensor(table.iloc[:, 1:].to_numpy('uint8')).reshape(-1, 1, 28, 28), "
            "torch.tensor(table.iloc[:, 0].to_numpy('int64')))."
        )
    if isinstance(getattr(inner, "data", None), torch.Tensor) and hasattr(inner, "targets"):  # as of torchvision
        whole = "dataset" + ".dataset" * depth
        code = f"TensorDataset({whole}.data.unsqueeze(1), {whole}.targets)"
        for outer in reversed(range(depth)):
            code = f"Subset({code}, dataset{'.dataset' * outer}.indices)"
        return (
            f"Of a data set of torchvision: {code}. Its transform is left out by that, since images are scaled and "
            "normalised inside."
        )
    if isinstance(dataset, torch.Tensor | np.ndarray):
        return "The labels are missing: TensorDataset(images, labels), both of them tensors."
    if isinstance(inner, Dataset):
        return "Collect its samples: TensorDataset(torch.stack(list_of_images), torch.tensor(list_of_labels))."
    return "load_split('train') and load_split('validation') return such ones."


def as_tensor_dataset(where: str, dataset) -> TensorDataset:
    """Return a data set as a TensorDataset with at least one sample, of whatever tensors.

    Parameters
    ----------
    where : str
        Function and argument, for the message.
    dataset : TensorDataset or Subset
        A selection, as of `random_split`, becomes a data set of its own.

    Raises
    ------
    TypeError, ValueError
        For anything else, with the way to the right one.
    """
    inner, chosen = dataset, None
    while isinstance(inner, Subset):
        numbers_inside = torch.tensor([int(number) for number in inner.indices], dtype=torch.int64)
        chosen = numbers_inside if chosen is None else numbers_inside[chosen]
        inner = inner.dataset
    if not isinstance(inner, TensorDataset):
        raise TypeError(f"{where} wants {DATASET}, but got {describe(dataset)}. {way_to_dataset(dataset)}")
    if chosen is not None:
        dataset = TensorDataset(*(part[chosen] for part in inner.tensors))
    if not len(dataset):
        raise ValueError(f"{where} wants {DATASET}, but got an empty one. Look at what selects its images.")
    return dataset


def check_dataset(where: str, dataset) -> TensorDataset:
    """Return a data set as a TensorDataset of uint8 images (N, 1, 28, 28) and int64 labels (N,).

    Parameters
    ----------
    where, dataset
        As for `as_tensor_dataset`. Integer labels of another type become int64.

    Raises
    ------
    TypeError, ValueError
        For anything else, with the way to the right one.
    """
    dataset = as_tensor_dataset(where, dataset)
    if len(dataset.tensors) != 2:
        raise ValueError(f"{where} wants {DATASET}, but got one of {len(dataset.tensors)} tensors.")
    images, labels = dataset.tensors
    check_images(where, images)
    check_classes(where, "labels", labels)
    check_same_length(where, images=images, labels=labels)
    return dataset if labels.dtype == torch.int64 else TensorDataset(images, labels.long())


def check_model(where: str, model) -> None:
    """Raise unless a model is an nn.Module whose parameters are float32 and on one device."""
    wanted = f"{where} wants a model, an nn.Module with parameters in float32 on one device"
    if isinstance(model, type):
        raise TypeError(f"{wanted}, but got {describe(model)}. Make one of it: model = {model.__name__}().")
    if not isinstance(model, nn.Module):
        raise TypeError(f"{wanted}, but got {describe(model)}.")
    name, parameters = type(model).__name__, list(model.parameters())
    if not parameters:
        raise ValueError(f"{wanted}, but this {name} has no parameters. Are its layers attributes of self?")
    devices = sorted({str(tensor.device) for tensor in [*parameters, *model.buffers()]})
    if len(devices) > 1 or devices == ["meta"]:
        raise ValueError(f"{wanted}, but this {name} is on {', '.join(devices)}. Write model.to(get_device()).")
    dtypes = sorted({str(part.dtype).removeprefix("torch.") for part in parameters if part.is_floating_point()})
    if dtypes != ["float32"]:
        raise ValueError(f"{wanted}, but this {name} has {', '.join(dtypes)}. Write model.float().")


def check_optimizer(model: nn.Module, optimizer, schedulers: list) -> None:
    """Raise unless the optimizer is over this model's parameters, and the schedulers are over this optimizer."""
    if isinstance(optimizer, type) or not hasattr(optimizer, "param_groups"):
        raise TypeError(
            f"fit wants an optimizer over the model's parameters, but got {describe(optimizer)}. "
            "Make one: optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)."
        )
    if isinstance(optimizer, torch.optim.LBFGS):
        raise TypeError(
            "fit wants an optimizer that makes one step of one batch, but LBFGS computes the loss several times for a "
            "step. Take torch.optim.Adam or torch.optim.SGD."
        )
    own = {id(parameter) for parameter in model.parameters() if parameter.requires_grad}
    held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    name = type(model).__name__
    if not own:
        raise ValueError(
            f"fit wants a model that can learn, but every parameter of this {name} is frozen. "
            "Write model.requires_grad_(True), or unfreeze the layers that you want to train."
        )
    others = held - {id(parameter) for parameter in model.parameters()}
    if not held & own or (own - held and others):
        why = "it was made for another model, or before a layer was replaced" if others else "all it holds are frozen"
        raise ValueError(
            f"fit wants an optimizer over the parameters of the model it is given, but it holds {len(own & held)} of "
            f"the {len(own)} that this {name} can learn, and {len(held - own)} others: {why}. Make it anew, after the "
            "model: torch.optim.Adam(model.parameters(), lr=1e-3)."
        )
    for scheduler in schedulers:
        if isinstance(scheduler, type) or not hasattr(scheduler, "step"):
            raise TypeError(
                f"fit wants a scheduler, such as StepLR(optimizer, step_size=8), but got {describe(scheduler)}."
            )
        if isinstance(scheduler, ReduceLROnPlateau):
            raise TypeError(
                "fit wants a scheduler whose step() needs no figure, but got ReduceLROnPlateau, which wants one. "
                "Take StepLR or CosineAnnealingLR."
            )
        if getattr(scheduler, "optimizer", optimizer) is not optimizer:
            raise ValueError(
                f"fit wants a scheduler over the optimizer it is given, but this {type(scheduler).__name__} changes "
                "the learning rate of another one. Make it anew, after the optimizer."
            )


def check_steps(scheduler, batch_scheduler, epochs: int, batches: int) -> None:
    """Raise if a schedule of a fixed number of steps, as OneCycleLR is, does not fit how often `fit` steps it."""
    of_epochs, of_batches = (getattr(each, "total_steps", None) for each in (scheduler, batch_scheduler))
    if of_epochs and of_epochs > epochs:
        raise ValueError(
            f"fit steps scheduler once an epoch, {epochs} times in all, but this {type(scheduler).__name__} is made "
            f"for {of_epochs:,} steps. If they are those of the batches, give it as batch_scheduler."
        )
    if of_batches and of_batches < epochs * batches:
        raise ValueError(
            f"fit steps batch_scheduler once a batch, {epochs * batches:,} times in all, but this "
            f"{type(batch_scheduler).__name__} is made for {of_batches:,} steps. Make it with "
            f"total_steps={epochs * batches}."
        )


def check_function(name: str, value, example: str) -> None:
    """Raise TypeError unless a value can be called; a class can, too, but makes an object of its own."""
    if isinstance(value, type):
        raise TypeError(
            f"fit wants {name} as a function, but got {describe(value)}. Make one of it: {name}={value.__name__}()."
        )
    if not callable(value):
        raise TypeError(f"fit wants {name} as a function, such as {example}, but got {describe(value)}.")


def check_training(
    model, train, validation, optimizer, epochs, batch_size, scheduler=None, batch_scheduler=None
) -> tuple[TensorDataset, TensorDataset | None]:
    """Check what `fit` is given; return the training and the validation data, as `check_dataset` does."""
    check_model("fit", model)
    train = check_dataset("fit (train)", train)
    validation = None if validation is None else check_dataset("fit (validation)", validation)
    check_optimizer(model, optimizer, [each for each in (scheduler, batch_scheduler) if each is not None])
    check_number("fit", "epochs", epochs)
    check_number("fit", "batch_size", batch_size)
    check_steps(scheduler, batch_scheduler, epochs, math.ceil(len(train) / batch_size))
    return train, validation


def outputs_of(model: nn.Module, batch: torch.Tensor) -> torch.Tensor:
    """Return what a model makes of a batch, (N, 1, 28, 28).

    Raises
    ------
    ValueError
        If its layers fit neither the images nor each other, with the shape that came.
    """
    try:
        return model(batch)
    except RuntimeError as error:
        if not any(word in str(error) for word in ("shape", "size", "channels")):
            raise
        raise ValueError(
            f"The layers of this {type(model).__name__} do not fit a batch of the shape {tuple(batch.shape)}: {error}. "
            "The first one takes one channel of 28 x 28 pixels, as nn.Conv2d(1, …) or nn.Linear(784, …) after "
            "nn.Flatten() does, and each one after it takes what the one before returns."
        ) from error


def check_outputs(outputs, number: int, model: nn.Module) -> None:
    """Raise unless a model's outputs are logits or log-probabilities, (N, 10), of so many images."""
    wanted = f"The model has to return logits or log-probabilities, a tensor ({number}, 10) for {number} images"
    if not isinstance(outputs, torch.Tensor):
        raise TypeError(f"{wanted}, but this {type(model).__name__} returned {describe(outputs)}.")
    if outputs.shape != (number, config.NUM_CLASSES):
        raise ValueError(
            f"{wanted}, but this {type(model).__name__} returned {tuple(outputs.shape)}. Its last layer needs 10 "
            "outputs, one a class, and all but the first dimension flattened, as by nn.Flatten()."
        )
    rounding = 1e-2 if outputs.dtype == torch.bfloat16 else 1e-3
    if (outputs >= 0).all() and ((outputs.float().sum(dim=1) - 1).abs() < rounding).all():
        raise ValueError(
            f"{wanted}, but the rows of this {type(model).__name__} are probabilities, which sum to 1, and a second "
            "softmax follows. Leave the softmax at the model's end out, or take nn.LogSoftmax(dim=1)."
        )
    # Logits of a few images may all be above 0, but not below 1 too, nor are some exactly 0. A rule of one's own may
    # give such numbers, but nobody trains it.
    if model.training and number >= ENOUGH_TO_TELL and outputs.any() and (outputs >= 0).all():
        last = "sigmoid" if outputs.max() <= 1 else "ReLU" if (outputs == 0).any() else None
        if last:
            raise ValueError(
                f"{wanted}, but the numbers of this {type(model).__name__} are those after a {last}, none below 0. "
                "Leave that out at the model's end: a last layer nn.Linear(…, 10) is followed by nothing."
            )


def loss_of(loss_fn, outputs: torch.Tensor, labels: torch.Tensor):
    """Return what a loss function makes of outputs and labels; raise ValueError if it cannot take them."""
    try:
        return loss_fn(outputs, labels)
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        raise ValueError(
            f"The loss function cannot take the outputs, {str(outputs.dtype).removeprefix('torch.')} "
            f"{tuple(outputs.shape)}, and the labels, int64 {tuple(labels.shape)}: {error}. It has to compare them as "
            "F.cross_entropy does, which is taken if you leave loss_fn out."
        ) from error


def check_loss(loss, outputs: torch.Tensor, labels: torch.Tensor) -> None:
    """Raise unless a loss is one number; and where it is `nll_loss`, unless the outputs are log-probabilities."""
    if not isinstance(loss, torch.Tensor) or loss.numel() != 1 or not loss.requires_grad:
        raise ValueError(
            "The loss function has to return the mean over the batch, one number with a gradient, but returned "
            f"{describe(loss.detach() if isinstance(loss, torch.Tensor) else loss)}. For one of PyTorch's, leave "
            "reduction='mean' as it is, and compute with tensors, without .item() and .detach()."
        )
    for function in (nn.functional.cross_entropy, nn.functional.nll_loss):
        total = function(outputs, labels, reduction="sum")
        if torch.isclose(loss.float(), total) and not torch.isclose(total, total / len(labels)):
            raise ValueError(
                "The loss function has to return the mean over the batch, but returned the sum, so every step would be "
                f"{len(labels)} times as large. Leave reduction='mean' as it is."
            )
    is_nll = torch.isclose(loss.float(), nn.functional.nll_loss(outputs, labels))
    # 0 for log-probabilities but for rounding, which in bfloat16 comes to a hundredth, and 2.3 for untrained logits.
    if is_nll and (outputs.logsumexp(dim=1).abs() > 0.1).any():
        raise ValueError(
            "nll_loss wants log-probabilities, but the model returns logits, for which it falls without end and means "
            "nothing. Leave loss_fn out, which is F.cross_entropy, or end the model with nn.LogSoftmax(dim=1)."
        )
