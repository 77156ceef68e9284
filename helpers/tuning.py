"""Tuning: a cheap trial, what a winner is worth on fresh images, and a study that outlives its workers (lesson 10).

`python -m helpers.tuning` starts a study, works on it and shows it. The study lies in an SQLite file in the runs
folder, or where the environment variable STORAGE says, such as postgresql://name:password@machine/database.
"""

import argparse
import inspect
import os
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Callable

import numpy as np
import optuna
import pandas as pd
import torch
import torch.nn.functional as F
from optuna.trial import TrialState
from torch import nn
from torch.utils.data import TensorDataset

from helpers import config
from helpers.data import load_split, normalize
from helpers.device import set_seed

# Optuna writes a line for each trial to stderr, and tells each time that its heartbeat may change one day.
optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)

SPACE = {
    "learning_rate": [float(f"{rate:.2g}") for rate in np.geomspace(1e-4, 3, 12)],
    "batch_size": [32, 64, 128],
    "dropout": [0.0, 0.25, 0.5],
}
TRAIN_IMAGES, EPOCHS = (400, 2) if config.FAST else (2_000, 5)
MOST_TRIES = 3  # a trial that has ended three workers would end a fourth
HEARTBEAT = 10  # seconds

# What becomes of a ticket, by the states of its trials; the first that fits is its own.
STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
    TrialState.FAIL: "lost",
}


class NoTicketError(Exception):
    """A trial that nobody asked for: another worker took the last ticket a moment before."""


def small_images(dataset: TensorDataset, number: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the first images of a data set, normalised and of half the height and width, and their labels.

    Parameters
    ----------
    dataset : TensorDataset
        Of images, uint8 (N, 1, 28, 28), and labels, int64 (N,).
    number : int, optional
        How many; by default all.

    Returns
    -------
    images : torch.Tensor
        float32, (number, 1, 14, 14): each number is the mean of a block of 2 × 2 pixels.
    labels : torch.Tensor
        int64, (number,).
    """
    images, labels = (part[:number] for part in dataset.tensors)
    return F.avg_pool2d(normalize(images), 2), labels


def make_network(dropout: float) -> nn.Sequential:
    """Build a CNN of two convolutions for images (N, 1, 14, 14), with dropout from 0 to below 1. Returns logits."""
    return nn.Sequential(
        nn.Conv2d(1, 8, kernel_size=3, padding=1),
        nn.MaxPool2d(2),  # (N, 8, 7, 7)
        nn.ReLU(),
        nn.Conv2d(8, 16, kernel_size=3, padding=1),
        nn.MaxPool2d(2),  # (N, 16, 3, 3)
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(16 * 3 * 3, 10),
    )


def train_trial(
    settings: dict[str, float],
    images: torch.Tensor,
    labels: torch.Tensor,
    seed: int = config.SEED,
    after_epoch: Callable[[int, nn.Module], None] | None = None,
) -> nn.Sequential:
    """Train a small network for a few epochs by SGD with momentum 0.9.

    Parameters
    ----------
    settings : dict
        "learning_rate", "batch_size" and "dropout".
    images, labels : torch.Tensor
        As from `small_images`.
    seed : int
        Fixes the first weights, the order of the images and the dropout.
    after_epoch : callable, optional
        Called after each of the `EPOCHS` epochs with its number, from 1, and the network in evaluation mode. An
        exception from it ends the training.

    Returns
    -------
    nn.Sequential
        In evaluation mode. Where the learning rate was too high, its weights may be no numbers.
    """
    set_seed(seed)
    network = make_network(settings["dropout"])
    optimizer = torch.optim.SGD(network.parameters(), lr=settings["learning_rate"], momentum=0.9)
    for epoch in range(1, EPOCHS + 1):
        network.train()
        for batch in torch.randperm(len(images)).split(int(settings["batch_size"])):
            optimizer.zero_grad()
            F.cross_entropy(network(images[batch]), labels[batch]).backward()
            optimizer.step()
        network.eval()
        if after_epoch is not None:
            after_epoch(epoch, network)
    return network


@torch.inference_mode()
def right_answers(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> np.ndarray:
    """Return for each image whether the network's largest logit is that of its class: bool, (N,)."""
    predictions = torch.cat([network(part).argmax(dim=1) for part in images.split(1000)])
    return (predictions == labels).numpy()


def range_test(images: torch.Tensor, labels: torch.Tensor, batch_size: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """Let the learning rate grow from 0.0001 to 3 with each batch, as lesson 06 does, and note the losses.

    Returns
    -------
    rates, losses : np.ndarray
        float, (steps,), up to the first loss that is not below 10.
    """
    set_seed()
    network = make_network(0.0)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-4, momentum=0.9)
    losses, rates = [], np.geomspace(1e-4, 3, 100)
    batches = (batch for _ in range(100) for batch in torch.randperm(len(images)).split(batch_size))
    for rate, batch in zip(rates, batches, strict=False):
        optimizer.param_groups[0]["lr"] = rate
        loss = F.cross_entropy(network(images[batch]), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if not loss < 10:  # true of NaN as well
            break
    return rates[: len(losses)], np.array(losses)


def judge(right: np.ndarray, number: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw the images that choose a winner, and leave the others for fresh images.

    Parameters
    ----------
    right : np.ndarray
        bool, (trials, images): whether a trial's network is right.
    number : int
        Of images that choose, from 1 to one less than there are.
    rng : np.random.Generator

    Returns
    -------
    choosing, fresh : np.ndarray
        float, (trials,): the accuracy of each trial on the images that choose, and on all others.
    """
    drawn = rng.choice(right.shape[1], number, replace=False)
    chosen = right[:, drawn].sum(axis=1)
    return chosen / number, (right.sum(axis=1) - chosen) / (right.shape[1] - number)


def best_so_far(order: np.ndarray, choosing: np.ndarray, fresh: np.ndarray) -> np.ndarray:
    """Return what the winner of the first 1, 2, … trials reaches on fresh images.

    Parameters
    ----------
    order : np.ndarray
        int, (budget,): the trials in the order in which they are run.
    choosing, fresh : np.ndarray
        float, (trials,), from `judge`. The winner is the first with the highest `choosing`.

    Returns
    -------
    np.ndarray
        float, (budget,).
    """
    reached, winner, curve = -np.inf, None, []
    for trial in order:
        if choosing[trial] > reached:
            reached, winner = choosing[trial], trial
        curve.append(fresh[winner])
    return np.array(curve)


def winners(right: np.ndarray, sizes: list[int], number: int, repetitions: int = 500, seed: int = 0) -> pd.DataFrame:
    """Choose the best of N trials again and again, each time by other images and from other trials.

    Parameters
    ----------
    right : np.ndarray
        bool, (trials, images).
    sizes : list of int
        The N, each at most the number of trials, which are drawn without repeats.
    number : int
        Of images that choose.
    repetitions, seed : int

    Returns
    -------
    pd.DataFrame
        One row for each N and repetition: trials (N), choosing and fresh (accuracies of the winner, 0 to 1), and
        optimism (choosing minus fresh).
    """
    rng, rows = np.random.default_rng(seed), []
    for _ in range(repetitions):
        choosing, fresh = judge(right, number, rng)
        order = rng.permutation(len(right))
        for size in sizes:
            winner = max(order[:size], key=lambda trial: choosing[trial])
            rows.append((size, choosing[winner], fresh[winner], choosing[winner] - fresh[winner]))
    return pd.DataFrame(rows, columns=["trials", "choosing", "fresh", "optimism"])


def storage_url() -> str:
    """Return where studies are kept: STORAGE of the environment, or an SQLite file in the runs folder.

    A `postgresql://` address is sent to psycopg 3, the driver that the project installs.
    """
    url = os.environ.get("STORAGE", "").strip()
    if not url:
        config.RUNS_DIR.mkdir(parents=True, exist_ok=True)
        return f"sqlite:///{(config.RUNS_DIR / 'tuning.db').as_posix()}"
    kind, _, rest = url.partition("://")
    return f"postgresql+psycopg://{rest}" if kind in ("postgresql", "postgres") else url


def open_storage(heartbeat: int = HEARTBEAT, url: str | None = None) -> optuna.storages.RDBStorage:
    """Connect to the storage, so that a trial without a sign of life for three heartbeats goes back to the queue.

    Parameters
    ----------
    heartbeat : int
        Seconds between two signs of life of a running trial.
    url : str, optional
        By default that of `storage_url`.

    Raises
    ------
    SystemExit
        With one message, without the password, if the storage cannot be reached.
    """
    url = url or storage_url()
    # Optuna 4.9 gave this argument a new name.
    names = inspect.signature(optuna.storages.RDBStorage.__init__).parameters
    name = "heartbeat_stale_trial_callback"
    options = {name if name in names else "failed_trial_callback": put_back}
    # A server that was started anew is noticed; a locked SQLite file is waited for.
    options["engine_kwargs"] = {"connect_args": {"timeout": 30}} if "sqlite" in url else {"pool_pre_ping": True}
    try:
        return optuna.storages.RDBStorage(url, heartbeat_interval=heartbeat, grace_period=3 * heartbeat, **options)
    except ImportError:
        raise SystemExit('PostgreSQL needs a driver: install it with pip install "psycopg[binary]".') from None
    except Exception as error:
        place, reason = url.rpartition("@")[2], str(error.__cause__ or error).strip().split("\n")[0]
        raise SystemExit(f"No storage at {place}: {reason}") from None


def put_back(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
    """Put the ticket of a trial that came to no end back into the queue, with the settings that it had.

    A trial without a ticket is left alone, and so is one that was tried `MOST_TRIES` times.
    """
    tries = trial.user_attrs.get("tries", 1)
    if "ticket" in trial.user_attrs and tries < MOST_TRIES:
        study.enqueue_trial(trial.params, {"ticket": trial.user_attrs["ticket"], "tries": tries + 1})


def start(name: str, trials: int, storage: optuna.storages.RDBStorage, anew: bool = False) -> optuna.Study:
    """Create a study, or open it, and see that its queue has a ticket for each of so many trials.

    A second call with the same number changes nothing, and one with a larger number adds tickets.

    Parameters
    ----------
    name : str
        Of the study.
    trials : int
        How many in all.
    storage : optuna.storages.RDBStorage
        From `open_storage`.
    anew : bool
        Delete a study of this name first.
    """
    if anew and name in optuna.get_all_study_names(storage):
        optuna.delete_study(study_name=name, storage=storage)
    sampler, pruner = optuna.samplers.TPESampler(constant_liar=True), optuna.pruners.MedianPruner()
    study = optuna.create_study(
        study_name=name,
        storage=storage,
        direction="maximize",
        sampler=sampler,
        pruner=pruner,
        load_if_exists=True,
    )
    there = set(tickets(study)["ticket"])
    for ticket in range(trials):
        if ticket not in there:
            study.enqueue_trial({}, {"ticket": ticket})
    return study


def tickets(study: optuna.Study) -> pd.DataFrame:
    """Return one row for each ticket of a study: what has become of it, counted once however often it was tried.

    Returns
    -------
    pd.DataFrame
        ticket, state ("complete", "pruned", "running", "waiting", "lost" or "given up"), value (NaN without one), trial
        (Optuna's number), tries, worker, begun and ended (times, NaT without one), and the settings.
    """
    order = list(STATES)
    found = {}
    for trial in study.get_trials(deepcopy=False):
        ticket = trial.user_attrs.get("ticket")
        if ticket is None:
            continue
        tries = max(trial.user_attrs.get("tries", 1), found[ticket][0] if ticket in found else 1)
        best = found[ticket][1] if ticket in found else trial
        found[ticket] = (tries, trial if order.index(trial.state) < order.index(best.state) else best)
    rows = []
    for ticket, (tries, trial) in sorted(found.items()):
        state = STATES[trial.state]
        row = {"ticket": ticket, "state": "given up" if state == "lost" and tries >= MOST_TRIES else state}
        row |= {"value": np.nan if trial.value is None else trial.value, "trial": trial.number, "tries": tries}
        row |= {"worker": trial.user_attrs.get("worker", ""), "begun": trial.datetime_start}
        rows.append(row | {"ended": trial.datetime_complete} | trial.params)
    columns = ["ticket", "state", "value", "trial", "tries", "worker", "begun", "ended"]
    return pd.DataFrame(rows, columns=columns if not rows else None)


def work(study: optuna.Study, objective: Callable[[optuna.Trial], float], heartbeat: int = HEARTBEAT) -> int:
    """Take tickets of a study and run their trials until every ticket is done, by this worker or by others.

    Parameters
    ----------
    study : optuna.Study
        From `start`, with a storage of `open_storage`. Several workers at once need another storage than SQLite.
    objective : callable
        Of a trial; returns its value.
    heartbeat : int
        Seconds to wait before looking again, while others have the last tickets.

    Returns
    -------
    int
        How many trials this worker has brought to an end.
    """
    name, done = f"{socket.gethostname()}:{os.getpid()}", 0
    current, vouched = [], set()

    def with_ticket(trial: optuna.Trial) -> float:
        if "ticket" not in trial.user_attrs:
            raise NoTicketError
        current[:] = [trial.number]
        trial.set_user_attr("worker", name)
        return objective(trial)

    while True:
        states = list(tickets(study)["state"])
        if "waiting" in states:
            current.clear()
            try:
                study.optimize(with_ticket, n_trials=1, catch=(NoTicketError,))
                done += len(current)
            except KeyboardInterrupt:
                give_back(study, current)
                raise
            except Exception:
                if not taken_over(study, current):
                    raise
                print(f"{name} was silent for too long, so another worker has its trial. It goes on with the next.")
        elif "running" in states:
            vouch(study, vouched)
            optuna.storages.fail_stale_trials(study)
            time.sleep(heartbeat / 2)
        elif "lost" in states:
            table = tickets(study)
            for number in table.loc[table["state"] == "lost", "trial"]:
                give_back(study, [number])
        else:
            return done


def vouch(study: optuna.Study, vouched: set[int]) -> None:
    """Give each running trial a sign of life, once, since Optuna never misses a heart that has not beaten yet.

    A worker that is killed between taking a ticket and its first sign of life would hold the ticket for ever.

    Parameters
    ----------
    study : optuna.Study
    vouched : set of int
        Numbers of the trials that this worker has vouched for; it is brought up to date.
    """
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if trial.number not in vouched:
            vouched.add(trial.number)
            study._storage.record_heartbeat(trial._trial_id)


def give_back(study: optuna.Study, numbers: list[int]) -> None:
    """Put the tickets of these trials back, if they have failed."""
    for trial in study.get_trials(deepcopy=False):
        if trial.number in numbers and trial.state == TrialState.FAIL:
            put_back(study, trial)


def taken_over(study: optuna.Study, numbers: list[int]) -> bool:
    """Say whether these trials were declared dead and their tickets given to another worker."""
    table = tickets(study)
    lost = [trial for trial in study.get_trials(deepcopy=False) if trial.number in numbers]
    return bool(lost) and all(
        trial.state == TrialState.FAIL
        and table.loc[table["ticket"] == trial.user_attrs["ticket"], "state"].item() not in ("lost", "given up")
        for trial in lost
    )


def make_objective() -> Callable[[optuna.Trial], float]:
    """Load the images once, and return the objective of the command: accuracy on 500 validation images, 0 to 1."""
    images, labels = small_images(load_split("train"), TRAIN_IMAGES)
    choosing = small_images(load_split("validation"), 500)

    def objective(trial: optuna.Trial) -> float:
        settings = {
            "learning_rate": trial.suggest_float("learning_rate", 1e-4, 3, log=True),
            "batch_size": trial.suggest_categorical("batch_size", SPACE["batch_size"]),
            "dropout": trial.suggest_float("dropout", 0.0, 0.5),
        }

        def report(epoch: int, network: nn.Module) -> None:
            trial.report(right_answers(network, *choosing).mean(), epoch)
            if trial.should_prune():
                raise optuna.TrialPruned

        network = train_trial(settings, images, labels, trial.user_attrs.get("ticket", trial.number), report)
        return float(right_answers(network, *choosing).mean())

    return objective


def begin_worker(study: optuna.Study, storage: optuna.storages.RDBStorage) -> subprocess.Popen:
    """Start a process that works on a study: the command of this module, with the storage's address in STORAGE."""
    command = [sys.executable, "-m", "helpers.tuning", "work", "--study", study.study_name]
    command += ["--heartbeat", str(storage.heartbeat_interval)]
    settings = os.environ | {"STORAGE": storage.url}
    return subprocess.Popen(command, cwd=config.ROOT, env=settings, stdout=subprocess.DEVNULL)


def kill_in_a_trial(worker: subprocess.Popen, study: optuna.Study, after: int, patience: int = 120) -> None:
    """Kill a process as soon as so many trials of a study are done and it has put its name to another one.

    Raises
    ------
    RuntimeError
        If the process ends by itself, or does not get so far within `patience` seconds.
    """
    end = time.monotonic() + patience
    while time.monotonic() < end and worker.poll() is None:
        table = tickets(study)
        running = table["state"].eq("running") & table["worker"].ne("")
        if table["state"].isin(["complete", "pruned"]).sum() >= after and running.any():
            break
        time.sleep(0.05)
    else:
        worker.kill()
        raise RuntimeError("The worker did not get into its trial. Run this cell again.")
    worker.kill()
    worker.wait()


def describe(study: optuna.Study) -> str:
    """Say in a few lines how far a study is, and what is best in it."""
    table = tickets(study)
    counts = ", ".join(f"{number} {state}" for state, number in table["state"].value_counts().items())
    lines = [f"Study {study.study_name}: {len(table)} trials: {counts or 'none'}."]
    again = int((table["tries"] > 1).sum())
    if again:
        lines.append(f"{again} of them had to be begun again, because a worker was lost.")
    complete = table[table["state"] == "complete"]
    if len(complete):
        best = complete.loc[complete["value"].idxmax()]
        settings = ", ".join(f"{name} {best[name]:.3g}" for name in SPACE if name in best)
        lines.append(f"Best: {best['value']:.1%} on the images that choose ({settings}).")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Run the command: `start`, `work` or `show`."""
    parser = argparse.ArgumentParser(prog="python -m helpers.tuning", description=__doc__.split("\n\n")[1])
    parser.add_argument("action", choices=["start", "work", "show"])
    parser.add_argument("--study", default="small_cnn", help="its name (small_cnn)")
    parser.add_argument("--trials", type=int, default=40, help="for start: how many in all (40)")
    parser.add_argument("--heartbeat", type=int, default=HEARTBEAT, help="seconds; the same for all workers (10)")
    asked = parser.parse_args(arguments)
    storage = open_storage(asked.heartbeat)
    if asked.action == "start":
        study = start(asked.study, asked.trials, storage)
    else:
        try:
            # Each worker draws from random numbers of its own.
            sampler = optuna.samplers.TPESampler(constant_liar=True)
            pruner = optuna.pruners.MedianPruner()
            study = optuna.load_study(study_name=asked.study, storage=storage, sampler=sampler, pruner=pruner)
        except KeyError:
            raise SystemExit(
                f"There is no study {asked.study} here. Begin with: python -m helpers.tuning start"
            ) from None
    if asked.action == "work":
        try:
            print(f"This worker has run {work(study, make_objective(), asked.heartbeat)} trials.")
        except KeyboardInterrupt:
            print("Stopped. The trial under way is back in the queue.")
    print(describe(study))


if __name__ == "__main__":
    sys.exit(main())
