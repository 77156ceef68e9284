"""How far one GPU gets in 10 seconds, in a minute and in some minutes, by wide residual networks in bfloat16.

Sources: wide residual networks, Zagoruyko and Komodakis, 2016; one cycle, Smith and Topin, 2017; random erasing, Zhong
et al., 2017. The time is that of the training alone. What comes before it once, compiling the network and finding out
how many epochs fit, is measured apart as the warm-up; what the warm-up has trained is undone.

`try` measures on the validation images, for whoever changes a recipe. Without it each recipe is trained on all 60,000
training images and opens the test set at its end.
"""

import copy
import sys
import time
from dataclasses import dataclass
from statistics import mean

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import TensorDataset

from benchmarks.record import entries_with, measure_once, percent, start
from helpers.augment import predict_tta, random_erase, random_flip, random_shift
from helpers.data import load_images, load_split, normalize, open_test_set
from helpers.device import set_seed
from helpers.evaluation import accuracy, predict
from helpers.machine import markdown_table
from helpers.models import count_parameters

BATCH = 512
MODE = "reduce-overhead"  # one launch for all kernels of a pass: a small network waits for its launches otherwise
WARM_UP_STEPS = 30
TIMED_STEPS = 30


@dataclass(frozen=True)
class GpuRecipe:
    """A network, and the seconds that it may train.

    Attributes
    ----------
    seconds : float
        Of training.
    blocks, width : int
        Residual blocks at each of the three sizes of the map, and how many times 16 filters the first size has.
    lr : float
        Highest learning rate of the one cycle, for batches of 512.
    erase : int
        Side of the black square on every second image, in pixels.
    seeds : int
        Trainings.
    """

    seconds: float
    blocks: int
    width: int
    lr: float
    erase: int
    seeds: int


RECIPES = {
    "10 seconds": GpuRecipe(9.8, blocks=2, width=4, lr=0.8, erase=8, seeds=3),
    "1 minute": GpuRecipe(59, blocks=2, width=8, lr=0.4, erase=10, seeds=1),
    "4 minutes": GpuRecipe(230, blocks=4, width=10, lr=0.4, erase=12, seeds=1),
}


class WideBlock(nn.Module):
    """Twice batch norm, ReLU and a convolution of 3 × 3, added to what came in."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.norm_1, self.norm_2 = nn.BatchNorm2d(inputs), nn.BatchNorm2d(outputs)
        self.conv_1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.conv_2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return maps of `outputs` channels, `stride` times smaller."""
        active = F.relu(self.norm_1(x))
        around = x if isinstance(self.shortcut, nn.Identity) else self.shortcut(active)
        return around + self.conv_2(F.relu(self.norm_2(self.conv_1(active))))


def wide_resnet(blocks: int, width: int) -> nn.Sequential:
    """Build a wide residual network for 28 × 28 pixels that returns logits, float (N, 10)."""
    layers, channels = [nn.Conv2d(1, 16, 3, padding=1, bias=False)], 16
    for stage in range(3):
        for block in range(blocks):
            outputs = 16 * width * 2**stage
            layers.append(WideBlock(channels, outputs, 2 if stage and not block else 1))
            channels = outputs
    last = [nn.BatchNorm2d(channels), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10)]
    return nn.Sequential(*layers, *last)


def batches(images: torch.Tensor, labels: torch.Tensor, erase: int):
    """Yield one epoch of changed images, normalised (512, 1, 28, 28), and labels, all on the device."""
    order = torch.randperm(len(images), device=images.device)
    for chosen in order[: len(order) // BATCH * BATCH].split(BATCH):
        changed = random_erase(random_shift(random_flip(images[chosen]), padding=2), erase)
        yield normalize(changed).contiguous(memory_format=torch.channels_last), labels[chosen]


def train_for(recipe: GpuRecipe, train: TensorDataset, seed: int, device: torch.device) -> tuple[nn.Module, dict]:
    """Train a network for the seconds of a recipe.

    Returns
    -------
    model : nn.Module
        In evaluation mode.
    measured : dict
        warm_up_seconds, seconds, epochs, parameters, train_accuracy of the last epoch (a fraction, on changed images).
    """
    set_seed(seed)
    torch.backends.cudnn.benchmark = True
    images, labels = (part.to(device) for part in train.tensors)
    model = wide_resnet(recipe.blocks, recipe.width).to(device, memory_format=torch.channels_last)
    compiled = torch.compile(model, mode=MODE)

    def steps(epochs: int, limit: int):
        decayed = [parameter for parameter in model.parameters() if parameter.ndim > 1]
        others = [parameter for parameter in model.parameters() if parameter.ndim == 1]
        groups = [{"params": decayed, "weight_decay": 5e-4}, {"params": others, "weight_decay": 0.0}]
        optimizer = torch.optim.SGD(groups, lr=recipe.lr, momentum=0.9, nesterov=True, fused=True)
        total = epochs * (len(images) // BATCH)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, recipe.lr, total, pct_start=0.2, cycle_momentum=False, final_div_factor=1e3
        )
        model.train()
        done = 0
        for _ in range(epochs):
            right = torch.zeros((), device=device)
            for batch, answers in batches(images, labels, recipe.erase):
                optimizer.zero_grad()
                with torch.autocast(device.type, torch.bfloat16):
                    logits = compiled(batch).float()
                loss = F.cross_entropy(logits, answers, label_smoothing=0.1)
                loss.backward()
                optimizer.step()
                schedule.step()
                right += (logits.argmax(dim=1) == answers).sum()
                done += 1
                if done == limit:
                    return right
        return right

    def timed(*arguments) -> tuple[float, torch.Tensor]:
        started = time.perf_counter()
        right = steps(*arguments).item()  # waits for the device
        return time.perf_counter() - started, right

    first = copy.deepcopy(model.state_dict())
    started = time.perf_counter()
    timed(1, WARM_UP_STEPS)
    a_step = timed(1, TIMED_STEPS)[0] / TIMED_STEPS
    model.load_state_dict(first)
    warm_up = time.perf_counter() - started
    an_epoch = len(images) // BATCH
    epochs = max(1, int(recipe.seconds / (a_step * an_epoch)))
    print(f"warm-up {warm_up:.1f} s, {1000 * a_step:.2f} ms a step, {epochs} epochs", flush=True)
    set_seed(seed)
    seconds, right = timed(epochs, epochs * an_epoch)
    return model.eval(), {
        "warm_up_seconds": round(warm_up, 1),
        "seconds": round(seconds, 2),
        "epochs": epochs,
        "parameters": count_parameters(model),
        "train_accuracy": right / (an_epoch * BATCH),
    }


def run(name: str, seed: int, on_test: bool) -> dict:
    """Train a recipe once and measure it, plain and as the average over the image and its mirror image.

    Returns
    -------
    dict
        As `train_for`, with accuracy and accuracy_with_flips (fractions).
    """
    recipe, device = RECIPES[name], torch.device("cuda")
    train = TensorDataset(*load_images(train=True)) if on_test else load_split("train")
    model, measured = train_for(recipe, train, seed, device)
    images = open_test_set(f"benchmark: GPU, {name}, seed {seed}") if on_test else load_split("validation")
    plain, flipped = predict(model, images), predict_tta(model, images)
    measured |= {
        "accuracy": accuracy(plain.labels, plain.predictions),
        "accuracy_with_flips": accuracy(flipped.labels, flipped.predictions),
    }
    print(measured, flush=True)
    return measured


# Seconds of training, and the test accuracy with flips that was to be reached in them.
GOALS = {"10 seconds": 0.952, "1 minute": 0.959}


def gpu_goals() -> list[tuple[str, str, bool]]:
    """Return for each goal on a GPU what it is, what was measured, and whether it was met; none without a run."""
    goals = []
    for name, goal in GOALS.items():
        if runs := entries_with("gpu", recipe=name, images="test"):
            reached = mean(run["accuracy_with_flips"] for run in runs)
            seeds = f"mean of {len(runs)} seeds" if len(runs) > 1 else "one seed"
            goals.append(
                (
                    f"one GPU, {name}: test accuracy of {goal:.1%} at least, averaged over flips",
                    f"{reached:.2%}, {seeds}",
                    reached >= goal,
                )
            )
    return goals


def main() -> None:
    """Measure what is missing, the shortest first."""
    if not torch.cuda.is_available():
        raise SystemExit("This benchmark needs an NVIDIA GPU, and PyTorch sees none here.")
    on_test = sys.argv[1:] != ["try"]
    for name, recipe in RECIPES.items():
        for seed in range(recipe.seeds):
            key = {"recipe": name, "images": "test" if on_test else "validation", "seed": seed}
            measure_once("gpu", key, lambda name=name, seed=seed: run(name, seed, on_test))


def gpu_table() -> str:
    """Return the measured table in Markdown."""
    rows = []
    for name in RECIPES:
        runs = entries_with("gpu", recipe=name, images="test")
        if not runs:
            continue
        rows.append(
            [
                name,
                f"{runs[0]['parameters']:,}",
                " ".join(dict.fromkeys(str(run["epochs"]) for run in runs)),
                " ".join(f"{run['seconds']:.1f}" for run in runs),
                " ".join(f"{run['warm_up_seconds']:.0f}" for run in runs),
                percent([run["train_accuracy"] for run in runs]),
                percent([run["accuracy"] for run in runs]),
                percent([run["accuracy_with_flips"] for run in runs]),
                len(runs),
            ]
        )
    head = [
        "training",
        "parameters",
        "epochs",
        "seconds",
        "warm-up, s",
        "training accuracy, %",
        "test accuracy, %",
        "with flips, %",
        "seeds",
    ]
    return markdown_table(head, rows)


if __name__ == "__main__":
    start(main)
