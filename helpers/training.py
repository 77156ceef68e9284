"""`fit`: the training loop of lesson 02, with a progress bar, a history and a way to stop."""

import math
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader, TensorDataset
from tqdm.auto import tqdm

from helpers import config
from helpers.data import make_loader, normalize
from helpers.device import (
    autocast,
    choose_precision,
    describe_seconds,
    expected_seconds,
    keep_freed_memory,
    leave_busy_cores,
    set_seed,
)
from helpers.evaluation import accuracy, cross_entropy, macro_scores, predict
from helpers.inputs import (
    check_function,
    check_images,
    check_loss,
    check_outputs,
    check_same_length,
    check_training,
    loss_of,
    outputs_of,
)
from helpers.replay import ReplayError, describe_training, keep_recording, replay_training, why_not
from helpers.unfinished import mark_finished, mark_stopped, mark_unfinished

# Stopped before its first batch, a training has no figures of its own; they are measured on so many images.
IMAGES_MEASURED = 1_000
PATIENCE = 10  # seconds between the first press of stop and one that is obeyed at once


class LossNotFiniteError(FloatingPointError):
    """Training produced a loss of infinity or NaN. `history` holds the epochs before it."""

    history: pd.DataFrame


@dataclass
class Seen:
    """What an epoch has shown the model up to now: sums over its images."""

    images: int = 0
    loss: float = 0.0
    right: int = 0


class StopButton:
    """Note that stop was pressed (SIGINT), and interrupt at once only what may end half-way.

    Otherwise a second press, a moment after the first, would end the work that the first one has left to do. A press
    long after the first interrupts whatever is under way, since that seems to hang.
    """

    def __init__(self):
        self.pressed, self.first_press = False, math.inf
        self.may_interrupt = False

    def __enter__(self):
        # Elsewhere than in the main thread no signal arrives, and none may be handled.
        self.in_main_thread = threading.current_thread() is threading.main_thread()
        if self.in_main_thread:
            self.before = signal.signal(signal.SIGINT, self.press) or signal.SIG_DFL
        return self

    def __exit__(self, *error):
        if self.in_main_thread:
            signal.signal(signal.SIGINT, self.before)

    def press(self, *signal_and_frame):
        """Handle the signal."""
        now = time.monotonic()
        self.pressed, self.first_press = True, min(now, self.first_press)
        if self.may_interrupt or now - self.first_press > PATIENCE:
            self.may_interrupt = False
            raise KeyboardInterrupt


def train_one_epoch(
    model: nn.Module,
    loader: DataLoader,
    optimizer: torch.optim.Optimizer,
    loss_fn: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    dtype: torch.dtype,
    progress: tqdm,
    augment: Callable[[torch.Tensor], torch.Tensor] | None = None,
    batch_scheduler: LRScheduler | None = None,
    seen: Seen | None = None,
) -> tuple[float, float]:
    """Show the model every training image once and update it after each batch.

    Parameters
    ----------
    model, loader, optimizer, loss_fn
        As for `fit`; the loader yields uint8 images and int64 labels.
    dtype : torch.dtype
        Number format of the forward pass, torch.float32 or torch.bfloat16.
    progress : tqdm
        Moved by one a batch; shows the running loss and accuracy.
    augment, batch_scheduler
        As for `fit`.
    seen : Seen, optional
        Brought up to date after each batch, for a caller who wants the figures of an epoch that is stopped.

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
    seen = seen or Seen()
    model.train()
    for images, labels in loader:
        images, labels = images.to(device), labels.to(device)
        if augment is not None:
            images = check_images("After augment, fit", augment(images))
            check_same_length("After augment, fit", images=images, labels=labels)
        batch = normalize(images).contiguous(memory_format=torch.channels_last)
        with autocast(device, dtype):
            outputs = outputs_of(model, batch)
        if not seen.images:
            check_outputs(outputs, len(labels), model)
        outputs = outputs.float()
        loss = loss_of(loss_fn, outputs, labels)
        if not seen.images:
            check_loss(loss, outputs, labels)
        batch_loss = loss.item()
        if not torch.isfinite(loss):
            raise LossNotFiniteError(
                f"The loss became {batch_loss} after {seen.images:,} images of this epoch. The most likely cause is a "
                f"learning rate that is too high (it is {optimizer.param_groups[0]['lr']:g}): divide it by 10 and "
                "start again from a new model. If that does not help, look for a logarithm or a division "
                "of zero in the loss. The model still has its weights from before this batch."
            )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if batch_scheduler is not None:
            batch_scheduler.step()
        seen.loss += batch_loss * len(labels)
        seen.right += (outputs.argmax(dim=1) == labels).sum().item()
        seen.images += len(labels)
        progress.update()
        progress.set_postfix_str(
            f"loss {seen.loss / seen.images:.3f}, accuracy {seen.right / seen.images:.1%}", refresh=False
        )
    return seen.loss / seen.images, seen.right / seen.images


@torch.no_grad()
def zero_subnormals(optimizer: torch.optim.Optimizer) -> None:
    """Set to zero what an optimizer remembers in numbers too small for full precision, below 1.2e-38 in float32.

    Adam's running mean of a gradient that has become zero shrinks by a tenth in each step until it is such a number,
    and stays one for ever. Many processors compute with them far more slowly. No weight that is not itself that small
    notices the difference.
    """
    for remembered in optimizer.state.values():
        for value in remembered.values():
            if isinstance(value, torch.Tensor) and value.is_floating_point():
                value[value.abs() < torch.finfo(value.dtype).tiny] = 0


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


def evaluate(model: nn.Module, validation: TensorDataset, macro_metrics: bool) -> dict[str, float]:
    """Return a model's figures on the validation images, if any, under the names of the history's columns."""
    if validation is None:
        return {}
    labels, predictions, probabilities = predict(model, validation)
    figures = {
        "validation_loss": cross_entropy(labels, probabilities),
        "validation_accuracy": accuracy(labels, predictions),
    }
    return figures | (macro_scores(labels, predictions) if macro_metrics else {})


def measure_training(model: nn.Module, train: TensorDataset) -> Seen:
    """Return what a model that has not trained yet makes of the first training images, in place of an epoch's sums."""
    labels, predictions, probabilities = predict(
        model, TensorDataset(*(part[:IMAGES_MEASURED] for part in train.tensors))
    )
    number = len(labels)
    return Seen(number, number * cross_entropy(labels, probabilities), int((labels == predictions).sum()))


def describe(row: dict[str, float], epochs: int) -> str:
    """Return the line that is printed after an epoch."""
    line = f"epoch {row['epoch']:2}/{epochs}  train: loss {row['train_loss']:.4f}, accuracy {row['train_accuracy']:.2%}"
    if "validation_loss" in row:
        line += f"   validation: loss {row['validation_loss']:.4f}, accuracy {row['validation_accuracy']:.2%}"
    return line


def try_replay(
    model: nn.Module, training: dict[str, str], epochs: int, asked: bool, log_dir: str | Path | None
) -> pd.DataFrame | None:
    """Give a model its recorded weights, say so, and return the recorded history; None if that training is another.

    The history is also written to a TensorBoard log, if there is a folder for one.

    Raises
    ------
    ReplayError
        In place of None if `asked`, by the student's own hand.
    """
    if reason := why_not(model, training):
        if asked:
            raise ReplayError(
                f"This training cannot be replayed: {reason}. A replay shows the lesson's own training, unchanged. "
                "Write replay=False to train with your changes, or undo them."
            )
        print(f"Not replayed: {reason}. So it is trained now.")
        return None
    history, words = replay_training(model)
    print(words)
    log = open_log(log_dir)
    for row in history.to_dict("records"):
        print(describe(row, epochs))
        if log is not None:
            write_to_log(log, row)
    if log is not None:
        log.close()
    mark_finished(model)
    model.eval()
    return history


def fit(
    model: nn.Module,
    train: TensorDataset,
    validation: TensorDataset | None,
    optimizer: torch.optim.Optimizer,
    epochs: int,
    batch_size: int,
    *,
    scheduler: LRScheduler | None = None,
    batch_scheduler: LRScheduler | None = None,
    augment: Callable[[torch.Tensor], torch.Tensor] | None = None,
    loss_fn: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = F.cross_entropy,
    macro_metrics: bool = False,
    log_dir: str | Path | None = None,
    dtype: torch.dtype | None = None,
    after_epoch: Callable[[int, nn.Module], None] | None = None,
    replay: bool | None = None,
    seed: int = config.SEED,
) -> pd.DataFrame:
    """Train a model and measure it on the validation images after every epoch.

    Stopping the kernel (the square button, or Ctrl-C) ends the training early: the model keeps what it has learned,
    and is measured. Such a model is not finished, so `save_checkpoint` and `record_result` refuse it.

    From the first training on, this process keeps the memory that it frees (`keep_freed_memory`), so that it need not
    ask the system for it anew in each step.

    Parameters
    ----------
    model : nn.Module
        On the device where it shall train (`model.to(get_device())`). It is changed in place.
    train, validation : TensorDataset
        Of images, uint8 (N, 1, 28, 28), and labels, int64 (N,). None as validation measures nothing after an epoch.
    optimizer : torch.optim.Optimizer
        Over the model's parameters.
    epochs : int
        Passes over the training images. FAST=1 makes more than two of them two, of at most 2,000 images, and says so.
    batch_size : int
        Images in a training batch.
    scheduler : torch.optim.lr_scheduler.LRScheduler, optional
        Stepped once after each epoch.
    batch_scheduler : torch.optim.lr_scheduler.LRScheduler, optional
        Stepped once after each batch, as OneCycleLR wants it.
    augment : callable, optional
        Called with each training batch, uint8 (N, 1, 28, 28); returns a changed one of the same kind.
    loss_fn : callable
        Of the model's outputs, float32 (N, 10), and the labels; returns the mean over the batch.
    macro_metrics : bool
        Also note macro precision, recall and F1 on the validation images.
    log_dir : str or Path, optional
        Folder for a TensorBoard log, written after each epoch.
    dtype : torch.dtype, optional
        Number format of the forward pass, torch.float32 or torch.bfloat16. By default `choose_precision` takes the
        faster one of this machine, so that two machines may train in different formats.
    after_epoch : callable, optional
        Called after each epoch with its number, from 1, and the model in evaluation mode, for instance to keep a copy.
    replay : bool, optional
        For trainings that the project has recorded. True gives the model the recorded weights, and returns the
        recorded history, in place of training; so does REPLAY=1 in the environment. False trains, says before how
        long it will take, and keeps a recording in `runs/`. By default the training is neither. FAST=1 always trains.
    seed : int
        Fixes the order of the images and the dropout.

    Returns
    -------
    pd.DataFrame
        One row an epoch: epoch, learning_rate, train_loss, train_accuracy, validation_loss,
        validation_accuracy, (precision, recall, f1,) seconds. Accuracies are fractions. Without validation
        images, what is measured on them is left out. The training figures are those of the training pass:
        with dropout on, and while the weights still change.

        Of a training that is stopped, the last row is the epoch under way, with the training figures of the images
        seen up to then; before the first batch of all they are measured, in evaluation mode, on 1,000 training
        images. `history.attrs["stopped"]` then says in words how far it came, such as "epoch 3 of 12".

    Raises
    ------
    LossNotFiniteError
        If the loss is infinite or NaN. Its `history` holds the epochs before.
    ReplayError
        If `replay` is True and this training is not the recorded one; it names the difference. The model is as before.
    TypeError, ValueError
        For an input of another kind, such as images that are scaled already, with the way to the right one.
    """
    train, validation = check_training(
        model, train, validation, optimizer, epochs, batch_size, scheduler, batch_scheduler
    )
    if dtype not in (None, torch.float32, torch.bfloat16):
        raise ValueError(f"fit wants dtype as torch.float32 or torch.bfloat16, or left out, but got {dtype!r}.")
    check_function("loss_fn", loss_fn, "F.cross_entropy")
    if augment is not None:
        check_function("augment", augment, "random_flip")
    if after_epoch is not None:
        check_function("after_epoch", after_epoch, "lambda epoch, model: print(epoch)")
    training = None
    if replay is not None and not config.FAST:
        training = describe_training(
            model, train, validation, optimizer, epochs, batch_size, scheduler, batch_scheduler, augment, loss_fn, seed
        )
        if (replay or config.REPLAY) and (history := try_replay(model, training, epochs, replay, log_dir)) is not None:
            return history
    if config.FAST and epochs > config.FAST_EPOCHS:
        few = TensorDataset(*(tensor[: config.FAST_IMAGES] for tensor in train.tensors))
        print(f"FAST=1: {config.FAST_EPOCHS} of {epochs} epochs, {len(few):,} of {len(train):,} images.")
        epochs, train = config.FAST_EPOCHS, few
    keep_freed_memory()
    with StopButton() as stop:
        device = next(model.parameters()).device
        if device.type == "cpu":
            leave_busy_cores()
        model.to(memory_format=torch.channels_last)
        dtype = dtype or choose_precision(model, batch_size, device)
        loader = make_loader(train, batch_size, shuffle=True, seed=seed)
        takes = ""
        if training:
            takes = describe_seconds(expected_seconds(model, batch_size, epochs * len(loader), device, dtype))
            takes = f", {takes}"
            if why_not(model, training) is None:
                takes += "; replay=True, or REPLAY=1 in the environment, shows its recording at once"
        print(f"Training {type(model).__name__} on {device.type} in {str(dtype).removeprefix('torch.')}{takes}.")
        set_seed(seed)
        log = open_log(log_dir)
        rows = []
        progress = tqdm(total=epochs * len(loader), unit="batch", disable=not config.SHOW_PROGRESS_BARS)
        try:
            for epoch in range(1, epochs + 1):
                how_far = f"epoch {epoch} of {epochs}"
                progress.set_description(f"epoch {epoch}/{epochs}")
                started, seen = time.perf_counter(), Seen()
                row = {"epoch": epoch, "learning_rate": optimizer.param_groups[0]["lr"]}
                try:
                    stop.may_interrupt = True
                    if not stop.pressed:
                        train_one_epoch(
                            model, loader, optimizer, loss_fn, dtype, progress, augment, batch_scheduler, seen
                        )
                    stop.may_interrupt = False
                except KeyboardInterrupt:
                    stop.pressed, stop.may_interrupt = True, False
                finally:
                    if seen.images or stop.pressed:
                        mark_unfinished(model, how_far)  # whatever may end the training from here on
                stopped = stop.pressed
                if stopped and rows and not seen.images:
                    break  # nothing of this epoch has happened
                try:
                    figures = evaluate(model, validation, macro_metrics)
                except KeyboardInterrupt:  # raised by the model itself
                    stop.pressed = True
                    figures = evaluate(model, validation, macro_metrics)
                trained = seen.images > 0
                if not trained:
                    seen = measure_training(model, train)
                row |= {"train_loss": seen.loss / seen.images, "train_accuracy": seen.right / seen.images} | figures
                # PyTorch warns of a schedule that moves on before its optimizer did.
                if scheduler is not None and (trained or not isinstance(scheduler, LRScheduler)):
                    scheduler.step()
                zero_subnormals(optimizer)
                row["seconds"] = time.perf_counter() - started
                rows.append(row)
                if log is not None:
                    write_to_log(log, row)
                tqdm.write(describe(row, epochs))
                if after_epoch is not None:
                    after_epoch(epoch, model.eval())
                if stopped:
                    break
        except LossNotFiniteError as error:
            error.history = pd.DataFrame(rows)
            error.history.attrs["stopped"] = how_far
            raise
        finally:
            progress.close()
            if log is not None:
                log.close()
        history = pd.DataFrame(rows)
        if not stopped:
            mark_finished(model)
            if training:
                try:
                    keep_recording(model, training, history)
                except Exception as error:  # such as a full disk must not cost the history of a training
                    print(f"The training is finished, but not recorded for a replay: {error}")
            return history
        history.attrs["stopped"] = how_far
        mark_stopped(model, how_far)
        # To stderr, so that a cell that hides the lines of many short trainings still shows this one.
        print(
            f"Stopped by you in {how_far}. The model keeps what it has learned up to now, and the lesson can go on "
            "with it. It is not finished, so it is neither saved nor recorded as this lesson's model. To train it to "
            "the end, run this cell again.",
            file=sys.stderr,
        )
        return history
