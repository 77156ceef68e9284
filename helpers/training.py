"""`fit`: the training loop of lesson 02, with a progress bar, a history and a way to stop."""

import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from tqdm.auto import tqdm

from helpers import config
from helpers.data import make_loader, normalize
from helpers.evaluation import accuracy, cross_entropy, macro_scores, predict
from helpers.precision import autocast, choose_precision


class LossNotFiniteError(FloatingPointError):
    """Training produced a loss of infinity or NaN. `history` holds the epochs before it."""

    history: pd.DataFrame


def train_one_epoch(
    model: nn.Module,
    loader: DataLoader,
    optimizer: torch.optim.Optimizer,
    loss_function: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    dtype: torch.dtype,
    progress: tqdm,
    augment: Callable[[torch.Tensor], torch.Tensor] | None = None,
    batch_scheduler: torch.optim.lr_scheduler.LRScheduler | None = None,
) -> tuple[float, float]:
    """Show the model every training image once and update it after each batch.

    Parameters
    ----------
    model, loader, optimizer, loss_function
        As for `fit`; the loader yields uint8 images and int64 labels.
    dtype : torch.dtype
        Number format of the forward pass, torch.float32 or torch.bfloat16.
    progress : tqdm
        Moved by one a batch; shows the running loss and accuracy.
    augment, batch_scheduler
        As for `fit`.

    Returns
    -------
    loss, accuracy : float
        Sums over all samples divided by their number, as the model was when it saw each of them.

    Raises
    ------
    LossNotFiniteError
        Before the update that would spoil the weights.
    """
    device = next(model.parameters()).device
    model.train()
    loss_sum, right, seen = 0.0, 0, 0
    for images, labels in loader:
        images, labels = images.to(device), labels.to(device)
        if augment is not None:
            images = augment(images)
        batch = normalize(images).contiguous(memory_format=torch.channels_last)
        with autocast(device, dtype):
            outputs = model(batch)
        outputs = outputs.float()
        loss = loss_function(outputs, labels)
        batch_loss = loss.item()
        if not torch.isfinite(loss):
            raise LossNotFiniteError(
                f"The loss became {batch_loss} after {seen:,} images of this epoch. The most likely cause is a "
                f"learning rate that is too high (it is {optimizer.param_groups[0]['lr']:g}): divide it by 10 and "
                "start again from a new model. If that does not help, look for a logarithm or a division "
                "of zero in the loss. The model still has its weights from before this batch."
            )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if batch_scheduler is not None:
            batch_scheduler.step()
        loss_sum += batch_loss * len(labels)
        right += (outputs.argmax(dim=1) == labels).sum().item()
        seen += len(labels)
        progress.update()
        progress.set_postfix_str(f"loss {loss_sum / seen:.3f}, accuracy {right / seen:.1%}", refresh=False)
    return loss_sum / seen, right / seen


def open_log(log_dir: str | Path | None):
    """Open a TensorBoard log in a folder; None without a folder."""
    if log_dir is None:
        return None
    from torch.utils.tensorboard import SummaryWriter  # takes seconds to import, and few runs need it

    return SummaryWriter(str(log_dir))


def write_to_log(log, row: dict[str, float]) -> None:
    """Add one epoch's figures to a TensorBoard log, where they can be watched at once."""
    for name, value in row.items():
        if name not in ("epoch", "seconds"):
            log.add_scalar(name, value, row["epoch"])
    log.flush()


def measure(model: nn.Module, validation: TensorDataset, macro_metrics: bool) -> dict[str, float]:
    """Return a model's figures on the validation images, under the names of the history's columns."""
    labels, predictions, probabilities = predict(model, validation)
    figures = {
        "validation_loss": cross_entropy(labels, probabilities),
        "validation_accuracy": accuracy(labels, predictions),
    }
    return figures | (macro_scores(labels, predictions) if macro_metrics else {})


def fit(
    model: nn.Module,
    train: TensorDataset,
    validation: TensorDataset | None,
    optimizer: torch.optim.Optimizer,
    epochs: int,
    batch_size: int,
    *,
    scheduler: torch.optim.lr_scheduler.LRScheduler | None = None,
    batch_scheduler: torch.optim.lr_scheduler.LRScheduler | None = None,
    augment: Callable[[torch.Tensor], torch.Tensor] | None = None,
    loss_function: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = F.cross_entropy,
    macro_metrics: bool = False,
    log_dir: str | Path | None = None,
    seed: int = config.SEED,
) -> pd.DataFrame:
    """Train a model and measure it on the validation images after every epoch.

    Stopping the kernel (the square button, or Ctrl-C) ends the training early: the model keeps
    what it has learned and the history of the finished epochs is returned.

    Parameters
    ----------
    model : nn.Module
        On the device where it shall train (`model.to(get_device())`). It is changed in place.
    train, validation : TensorDataset
        Of images, uint8 (N, 1, 28, 28), and labels, int64 (N,). None as validation measures nothing after an epoch.
    optimizer : torch.optim.Optimizer
        Over the model's parameters.
    epochs : int
        Passes over the training images. FAST=1 caps them, and says so.
    batch_size : int
        Images in a training batch.
    scheduler : torch.optim.lr_scheduler.LRScheduler, optional
        Stepped once after each epoch.
    batch_scheduler : torch.optim.lr_scheduler.LRScheduler, optional
        Stepped once after each batch, as OneCycleLR wants it.
    augment : callable, optional
        Called with each training batch, uint8 (N, 1, 28, 28); returns a changed one of the same kind.
    loss_function : callable
        Of the model's outputs, float32 (N, 10), and the labels; returns the mean over the batch.
    macro_metrics : bool
        Also note macro precision, recall and F1 on the validation images.
    log_dir : str or Path, optional
        Folder for a TensorBoard log, written after each epoch.
    seed : int
        Fixes the order of the images and the dropout.

    Returns
    -------
    pd.DataFrame
        One row an epoch: epoch, learning_rate, train_loss, train_accuracy, validation_loss,
        validation_accuracy, (precision, recall, f1,) seconds. Accuracies are fractions. Without validation
        images, what is measured on them is left out. The training figures are those of the training pass:
        with dropout on, and while the weights still change.

    Raises
    ------
    LossNotFiniteError
        If the loss is infinite or NaN. Its `history` holds the epochs before.
    """
    if config.FAST and epochs > config.FAST_EPOCHS:
        print(f"FAST=1: {config.FAST_EPOCHS} of {epochs} epochs.")
        epochs = config.FAST_EPOCHS
    device = next(model.parameters()).device
    model.to(memory_format=torch.channels_last)
    dtype = choose_precision(model, batch_size, device)
    print(f"Training {type(model).__name__} on {device.type} in {str(dtype).removeprefix('torch.')}.")
    config.set_seed(seed)
    loader = make_loader(train, batch_size, shuffle=True, seed=seed)
    log = open_log(log_dir)
    rows = []
    with tqdm(total=epochs * len(loader), unit="batch", disable=not config.SHOW_PROGRESS_BARS) as progress:
        try:
            for epoch in range(1, epochs + 1):
                progress.set_description(f"epoch {epoch}/{epochs}")
                started = time.perf_counter()
                learning_rate = optimizer.param_groups[0]["lr"]
                train_loss, train_accuracy = train_one_epoch(
                    model, loader, optimizer, loss_function, dtype, progress, augment, batch_scheduler
                )
                row = {
                    "epoch": epoch,
                    "learning_rate": learning_rate,
                    "train_loss": train_loss,
                    "train_accuracy": train_accuracy,
                }
                line = f"epoch {epoch:2}/{epochs}  train: loss {train_loss:.4f}, accuracy {train_accuracy:.2%}"
                if validation is not None:
                    row |= measure(model, validation, macro_metrics)
                    line += (
                        f"   validation: loss {row['validation_loss']:.4f}, accuracy {row['validation_accuracy']:.2%}"
                    )
                if scheduler is not None:
                    scheduler.step()
                row["seconds"] = time.perf_counter() - started
                rows.append(row)
                if log is not None:
                    write_to_log(log, row)
                tqdm.write(line)
        except KeyboardInterrupt:
            print(
                f"Stopped by you in epoch {len(rows) + 1} of {epochs}. The model keeps all that it learned up to "
                f"now; the history holds the {len(rows)} finished epochs."
            )
        except LossNotFiniteError as error:
            error.history = pd.DataFrame(rows)
            raise
        finally:
            if log is not None:
                log.close()
    return pd.DataFrame(rows)
