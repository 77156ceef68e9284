"""Measure how fast this machine trains, and predict from that how long each lesson will take here."""

import time
from collections.abc import Callable
from pathlib import Path
from statistics import fmean, median

import nbformat
import pandas as pd
import torch
import torch.nn.functional as F
from torch.utils.data import TensorDataset
from tqdm.auto import tqdm

from helpers import config
from helpers.data import make_loader
from helpers.device import autocast, choose_precision, describe_seconds, get_device, keep_freed_memory
from helpers.machine import markdown_table
from helpers.recipes import RECIPES, Recipe, make_model, make_optimizer
from helpers.training import train_one_epoch

# Of which network a lesson's time depends most. Where none is named, the smallest stands for it.
NETWORKS = {
    "03_cnn_dropout": ["FashionNet", "FashionCNN"],
    "04_batchnorm_cnn": ["BatchNormCNN"],
    "06_training_diagnostics": ["SimpleCNN"],
    "07_train_faster": ["FashionCNN"],
    **{lesson: ["SimpleCNN"] for lesson in config.PART_TWO},
    "appendix_b_what_costs_time": ["FashionCNN"],
}
SMALLEST = ["MLP"]
# Most of its time goes to FashionCNN, and its own networks train in a fraction of it.
FASTEST = "07_train_faster"
STEPS_AT_A_TIME = 5  # few enough that a slow machine is done within a minute
ROUNDS = 3


def make_trial(recipe: Recipe, device: torch.device) -> Callable[[], float]:
    """Build a network of the series, and return a function that trains it for a few steps and tells the seconds."""
    model = make_model(recipe).to(device, memory_format=torch.channels_last)
    optimizer = make_optimizer(recipe, model)
    dtype = choose_precision(model, recipe.batch_size, device)
    number = STEPS_AT_A_TIME * recipe.batch_size
    images = torch.randint(0, 256, (number, 1, 28, 28), dtype=torch.uint8)
    loader = make_loader(TensorDataset(images, torch.arange(number) % 10), recipe.batch_size, shuffle=True)

    def trial() -> float:
        started = time.perf_counter()
        with tqdm(disable=True) as no_bar:
            train_one_epoch(model, loader, optimizer, getattr(F, recipe.loss), dtype, no_bar)
        return time.perf_counter() - started

    return trial


def time_in_turn(ways: dict[str, Callable[[], object]], rounds: int = 5) -> pd.DataFrame:
    """Call functions in turn, after each was called once to warm up, and return their seconds.

    Returns
    -------
    pd.DataFrame
        A row for each round and a column for each way, so that a ratio is one of calls at about the same time.
    """
    for way in ways.values():
        way()
    rows = []
    for _ in range(rounds):
        row = {}
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            row[name] = time.perf_counter() - started
        rows.append(row)
    return pd.DataFrame(rows)


def make_steps(
    network: Callable[[], torch.nn.Module],
    batch_size: int = 128,
    dtype: torch.dtype = torch.float32,
    memory_format: torch.memory_format = torch.channels_last,
    images: int = 512,
) -> Callable[[], None]:
    """Return a function that trains a new network on random images already in memory: only the computing takes time."""
    device = get_device()
    model = network().to(device, memory_format=memory_format).train()
    batch = torch.randn(batch_size, 1, 28, 28, device=device).contiguous(memory_format=memory_format)
    labels = torch.arange(batch_size, device=device) % 10
    optimizer = torch.optim.Adam(model.parameters())

    def train_images() -> None:
        for _ in range(images // batch_size):
            with autocast(device, dtype):
                outputs = model(batch)
            loss = F.cross_entropy(outputs.float(), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        loss.item()  # on a GPU this waits until the work is done

    return train_images


def steps_per_second() -> dict[str, float]:
    """Measure how many training steps a second each network of the series makes on this machine.

    A step is that of `fit`, with the batch size, the precision and the optimizer of its lesson. The images
    are made up at random: for the time that a step takes it does not matter what they show.

    Returns
    -------
    dict
        Steps a second by name of the network, each timed for about 3 seconds; under FAST=1 for a moment.
    """
    seconds, rounds = (0.2, 1) if config.FAST else (3.0, ROUNDS)
    keep_freed_memory()
    recipes = [recipe for recipe in RECIPES.values() if recipe.lesson != FASTEST]
    trials, tries = {}, {}
    with tqdm(total=(rounds + 1) * len(recipes), unit="trial", disable=not config.SHOW_PROGRESS_BARS) as progress:
        for recipe in recipes:
            trials[recipe.network] = make_trial(recipe, get_device())
            trials[recipe.network]()  # to warm up
            progress.update()
        # In turn, and the median of all, so that a moment in which something else is at work spoils no network.
        for _ in range(rounds):
            for name, trial in trials.items():
                ends = time.perf_counter() + seconds / rounds
                tries.setdefault(name, []).append(trial())
                while time.perf_counter() < ends:
                    tries[name].append(trial())
                progress.update()
    return {name: round(STEPS_AT_A_TIME / median(measured), 1) for name, measured in tries.items()}


def predict_seconds(recorded: dict, measured: dict[str, float]) -> dict[str, float]:
    """Predict how long each lesson takes on this machine.

    Parameters
    ----------
    recorded : dict
        What notebooks/run_times.json holds: "seconds" by lesson, and "steps_per_second" by network, of the
        machine on which the lessons were recorded.
    measured : dict
        Steps a second by network on this machine.

    Returns
    -------
    dict
        Seconds by lesson: the recorded ones, times how many times slower this machine makes a step.
    """
    there = recorded["steps_per_second"]
    return {
        lesson: seconds * fmean(there[network] / measured[network] for network in NETWORKS.get(lesson, SMALLEST))
        for lesson, seconds in recorded["seconds"].items()
    }


def speed_table(recorded: dict, measured: dict[str, float]) -> str:
    """Return the measured and the recorded steps a second, and their ratio, as a table in Markdown."""
    there = recorded["steps_per_second"]
    rows = [[name, f"{here:.0f}", f"{there[name]:.0f}", f"{here / there[name]:.2f}"] for name, here in measured.items()]
    header = ["network", "steps a second here", "where the lessons were recorded", "times as fast"]
    return markdown_table(header, rows)


def lesson_map(seconds: dict[str, float], folder: Path | None = None) -> str:
    """Return the table of all lessons and appendices, with links, in Markdown.

    Titles and prerequisites are read from the lessons themselves.

    Parameters
    ----------
    seconds : dict
        How long each lesson takes, by lesson. One that is missing has not been recorded yet.
    folder : Path, optional
        Where the lessons are. The links are relative to it.
    """
    folder = folder or config.NOTEBOOKS_DIR
    rows = []
    for lesson in [*config.LESSONS, *config.APPENDICES]:
        opening = nbformat.read(folder / f"{lesson}.ipynb", as_version=4).cells[0].source
        title = opening.split("\n")[0].removeprefix("# ")
        needed = " ".join(opening.split("**You need first**")[1].split("\n\n")[0].split())
        practise = f"[exercises](exercises/{lesson}.ipynb)" if lesson in config.LESSONS else ""
        time_here = describe_seconds(seconds[lesson]) if lesson in seconds else "not measured yet"
        rows.append([f"[{title}]({lesson}.ipynb)", needed, practise, time_here])
    rows.append(["all lessons", "", "", describe_seconds(sum(seconds.values()))])
    return markdown_table(["lesson", "you need first", "practise", "predicted run time here"], rows)
