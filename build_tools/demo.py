"""The page that classifies: `python -m build_tools.demo` builds it in runs/demo/, with all that it needs to run.

The page itself is website/demo/. Added are the network of lesson 07 as an ONNX file, what the page has to know about
it, a few example images, and onnxruntime-web.
"""

import gzip
import re
import shutil
from pathlib import Path

import nbformat
import numpy as np
import torch
from PIL import Image
from scipy.optimize import minimize_scalar
from torch import nn

from build_tools.npm import NpmError, read_files
from helpers import config
from helpers.data import load_images, split_indices
from helpers.evaluation import accuracy_by_coverage, at_threshold, cross_entropy, softmax_with_temperature
from helpers.explain import logits_of
from helpers.export import export_onnx
from helpers.files import write_json
from helpers.models import LeanCNN, count_parameters
from helpers.replay import RECORDINGS, file_name, read_recording

SOURCE = config.ROOT / "website" / "demo"
OUT = config.ROOT / "runs" / "demo"
LOADER = ["dist/ort.wasm.min.mjs", "dist/ort-wasm-simd-threaded.mjs"]
PROGRAM = "dist/ort-wasm-simd-threaded.wasm"


def sprint_network() -> nn.Module:
    """Return the network of lesson 07 with its recorded weights, in evaluation mode, on the CPU."""
    network = LeanCNN()
    weights, _ = read_recording(RECORDINGS / file_name(network))
    network.load_state_dict(weights)
    return network.eval()


def validation_images() -> tuple[torch.Tensor, torch.Tensor]:
    """Return the 10,000 validation images, uint8 (10000, 1, 28, 28), and their labels, also under FAST=1."""
    images, labels = load_images(train=True)
    _, chosen = split_indices(labels, 10_000)
    return images[chosen], labels[chosen]


def line_of_lesson_05() -> float:
    """Return the probability from which lesson 05 calls an answer sure, as its code has it."""
    cells = nbformat.read(config.NOTEBOOKS_DIR / "05_error_analysis.ipynb", as_version=4).cells
    [found] = re.findall(r"^SURE = ([\d.]+)$", "\n".join(cell.source for cell in cells), flags=re.MULTILINE)
    return float(found)


def fit_temperature(labels: np.ndarray, logits: torch.Tensor) -> float:
    """Return the temperature with the smallest log-loss on these images, as lessons 05 and 11 find it."""

    def log_loss(temperature: float) -> float:
        return cross_entropy(labels, softmax_with_temperature(logits, temperature))

    return float(minimize_scalar(log_loss, bounds=(0.2, 5), method="bounded").x)


def known_image() -> torch.Tensor:
    """Return the image, uint8 (1, 1, 28, 28), by which the page checks its network: it needs no file."""
    return (37 * torch.arange(784) % 256).to(torch.uint8).reshape(1, 1, 28, 28)


def settings(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> dict:
    """Return what the page has to know about the network.

    Parameters
    ----------
    network : nn.Module
        Takes normalised images and returns logits.
    images, labels : torch.Tensor
        Validation images, uint8 (N, 1, 28, 28), and their classes. The temperature is fitted on every second one, and
        what comes of the threshold is counted on the others.

    Returns
    -------
    dict
        classes, parameters, temperature, threshold, images (how many were counted), answered and right (shares of
        these, and of the answers), known_logits (of `known_image`).
    """
    logits, truth = logits_of(network, images), labels.numpy()
    temperature = fit_temperature(truth[::2], logits[::2])
    threshold = line_of_lesson_05()
    curve = accuracy_by_coverage(truth[1::2], softmax_with_temperature(logits[1::2], temperature))
    _, answered, right = at_threshold(curve, threshold)
    return {
        "classes": config.CLASS_NAMES,
        "parameters": count_parameters(network),
        "temperature": round(temperature, 4),
        "threshold": threshold,
        "images": len(curve),
        "answered": round(float(answered), 4),
        "right": round(float(right), 4),
        "known_logits": logits_of(network, known_image())[0].tolist(),
    }


def write_examples(out: Path, images: torch.Tensor, labels: torch.Tensor) -> list[dict[str, str]]:
    """Write the first image of each class as a PNG file, and return name and file of each."""
    (out / "examples").mkdir()
    examples = []
    for number, name in enumerate(config.CLASS_NAMES):
        first = int((labels == number).nonzero()[0])
        file = f"examples/{number}.png"
        Image.fromarray(images[first, 0].numpy()).save(out / file, optimize=True)
        examples.append({"name": name, "file": file})
    return examples


def build(out: Path = OUT) -> Path:
    """Put the page and all that it needs into a folder, which is made anew.

    Parameters
    ----------
    out : Path
        The folder. Any web server may serve it, at any address; nothing in it needs a network.

    Returns
    -------
    Path
        The same folder.

    Raises
    ------
    NpmError
        If onnxruntime-web cannot be fetched. The folder is then as it was.
    """
    runtime = read_files("onnxruntime-web", [*LOADER, PROGRAM])
    network, (images, labels) = sprint_network(), validation_images()
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(SOURCE, out)
    (out / "ort").mkdir()
    for path in LOADER:
        (out / "ort" / Path(path).name).write_bytes(runtime[path])
    # Packed, since few servers pack by themselves. The ending is no usual one, so that none of them unpacks it either.
    (out / "ort" / f"{Path(PROGRAM).name}.packed").write_bytes(gzip.compress(runtime[PROGRAM], 9, mtime=0))
    export_onnx(network, out / "model.onnx")
    known = settings(network, images, labels) | {"examples": write_examples(out, images, labels)}
    files = [path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()]
    write_json(out / "settings.json", known | {"files": sorted({*files, "settings.json"} - {"service_worker.js"})})
    return out


def main() -> None:
    """Build the page, and say how to open it."""
    try:
        build()
    except NpmError as error:
        raise SystemExit(str(error)) from None
    size = sum(path.stat().st_size for path in OUT.rglob("*") if path.is_file()) / 1e6
    print(f"The page is in runs/demo/, {size:.1f} MB. To open it, start a web server, and go to its address:")
    print("python -m http.server --bind 127.0.0.1 --directory runs/demo 8000")
    print("http://127.0.0.1:8000/")


if __name__ == "__main__":
    main()
