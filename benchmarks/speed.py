"""Measure batches, steps and inference, each beside what it is compared with; then a busy machine, growth, the race.

These machines are noisy, so every comparison alternates its two sides in one run and reports the ratio of each round.
"""

import time
from statistics import median

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.flop_counter import FlopCounterMode
from tqdm.auto import tqdm

from benchmarks import busy, race, scaling
from benchmarks.plain import per_item_images
from benchmarks.record import entries_with, measure_once, spread, start, summary
from helpers import models
from helpers.data import load_images, make_loader, normalize
from helpers.device import choose_precision, get_device
from helpers.evaluation import predict
from helpers.machine import markdown_table
from helpers.recipes import RECIPES
from helpers.speed import make_steps

ROUNDS = 7
BATCH_SIZES = {recipe.network: recipe.batch_size for recipe in RECIPES.values()}


def images_per_second(batches, images: int) -> float:
    """Draw batches until so many images came, and return images a second."""
    seen, started = 0, time.perf_counter()
    for batch, _ in batches:
        seen += len(batch)
        if seen >= images:
            break
    return seen / (time.perf_counter() - started)


def measure_loaders() -> dict:
    """Compare torchvision's data set, one image at a time, with the series' batches; both end in normalised floats."""
    per_item = DataLoader(per_item_images(), batch_size=128, shuffle=True)
    by_batch = make_loader(TensorDataset(*load_images(train=True)), 128, shuffle=True)
    normalized = ((normalize(images), labels) for _ in iter(int, 1) for images, labels in by_batch)
    speeds = {"per_item": [], "by_batch": []}
    for _ in tqdm(range(ROUNDS), desc="batches"):
        speeds["per_item"].append(images_per_second(per_item, 6_000))
        speeds["by_batch"].append(images_per_second(normalized, 60_000))
    return summary(speeds, "by_batch", "per_item")


def make_step(model: nn.Module, batch_size: int, dtype: torch.dtype, memory_format: torch.memory_format):
    """Return a function that makes ten training steps and tells the milliseconds of one."""
    one_step = make_steps(lambda: model, batch_size, dtype, memory_format, images=batch_size)

    def steps(number: int = 10) -> float:
        started = time.perf_counter()
        for _ in range(number):
            one_step()
        return 1000 * (time.perf_counter() - started) / number

    steps(3)  # to warm up
    return steps


def measure_steps(name: str) -> dict:
    """Compare a network's training step in plain float32 with what `fit` chooses on this machine."""
    build, batch_size = getattr(models, name), BATCH_SIZES[name]
    dtype = choose_precision(build().to(get_device()), batch_size, get_device())
    plain = make_step(build(), batch_size, torch.float32, torch.contiguous_format)
    chosen = make_step(build(), batch_size, dtype, torch.channels_last)
    milliseconds = {"plain_ms": [], "chosen_ms": []}
    for _ in tqdm(range(ROUNDS), desc=f"steps of {name}"):
        milliseconds["plain_ms"].append(plain())
        milliseconds["chosen_ms"].append(chosen())
    chosen_format = f"{str(dtype).removeprefix('torch.')}, channels_last"
    return {"batch_size": batch_size, "chosen": chosen_format} | summary(milliseconds, "plain_ms", "chosen_ms")


def peak_gflops(size: int = 2048) -> float:
    """Return the arithmetic rate of a large float32 matrix product, in 10^9 operations a second."""
    a, b = torch.randn(size, size), torch.randn(size, size)
    started = time.perf_counter()
    for _ in range(4):
        a @ b
    return 4 * 2 * size**3 / (time.perf_counter() - started) / 1e9


def flops_per_image(model: nn.Module) -> int:
    """Count the multiplications and additions of one image's forward pass through all matrix products."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model.eval()(torch.zeros(1, 1, 28, 28))
    return counter.get_total_flops()


def measure_inference(name: str) -> dict:
    """Measure `predict` on 10,000 images, with batches, normalisation and softmax, beside the machine's peak."""
    model = getattr(models, name)()
    images, labels = load_images(train=True)
    dataset = TensorDataset(images[:10_000], labels[:10_000])
    gflop = flops_per_image(model) / 1e9
    model.to(memory_format=torch.channels_last)
    speeds, peaks, shares = [], [], []
    predict(model, dataset)  # to warm up
    peak_gflops()
    for _ in tqdm(range(ROUNDS), desc=f"inference of {name}"):
        started = time.perf_counter()
        predict(model, dataset)
        speeds.append(len(dataset) / (time.perf_counter() - started))
        peaks.append(peak_gflops())
        shares.append(gflop * speeds[-1] / peaks[-1])
    return {
        "images_per_second": round(median(speeds)),
        "mflop_per_image": round(1000 * gflop, 2),
        "peak_gflops": round(median(peaks)),
        "share_of_peak": [round(value, 3) for value in (median(shares), min(shares), max(shares))],
        "rounds": ROUNDS,
    }


def speed_goals() -> list[tuple[str, str, bool]]:
    """Return for each goal of the parts what it is, what was measured, and whether it was met."""
    goals = []
    for found in entries_with("speed", what="batches"):
        ratio = found["ratio"][0]
        goals.append(
            ("whole batches: 25 times as fast as the usual loader at least", f"{ratio:.0f} times", ratio >= 25)
        )
    for found in entries_with("speed", what="inference", network="BatchNormCNN"):
        share = found["share_of_peak"][0]
        goals.append(("BatchNormCNN predicts at 40 % of the peak at least", f"{share:.0%}", share >= 0.4))
    return goals


def speed_tables() -> str:
    """Return the recorded speeds as tables in Markdown."""
    parts, rows = [], []
    for found in entries_with("speed", what="batches"):
        parts.append(
            f"**Batches.** One image at a time: {found['per_item']:,.0f} images a second. By whole batches: "
            f"{found['by_batch']:,.0f}. Times as fast: {spread(found['ratio'])}."
        )
    for steps in entries_with("speed", what="steps"):
        inference = entries_with("speed", what="inference", network=steps["network"])[0]
        rows.append(
            [
                steps["network"],
                f"{steps['plain_ms']:.1f}",
                f"{steps['chosen_ms']:.1f}",
                steps["chosen"],
                spread(steps["ratio"]),
                f"{inference['images_per_second']:,}",
                f"{inference['share_of_peak'][0]:.0%}",
            ]
        )
    header = [
        "network",
        "step, plain float32 (ms)",
        "step, as `fit` does it (ms)",
        "which is",
        "times as fast",
        "inference (images a second)",
        "share of the peak",
    ]
    parts.append(markdown_table(header, rows))
    return "\n\n".join(parts)


def main() -> None:
    """Measure what is missing and print all tables."""
    measure_once("speed", {"what": "batches"}, measure_loaders)
    for name in BATCH_SIZES:
        measure_once("speed", {"what": "steps", "network": name}, lambda name=name: measure_steps(name))
        measure_once("speed", {"what": "inference", "network": name}, lambda name=name: measure_inference(name))
    busy.measure()
    scaling.measure()
    race.measure()
    print("\n\n".join(["", speed_tables(), busy.busy_table(), scaling.scaling_table(), race.race_table()]))


if __name__ == "__main__":
    start(main)
