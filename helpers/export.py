"""Carry a trained network out of PyTorch: as an ONNX file that takes grey levels, in float32 and in int8."""

import contextlib
import copy
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import nn

from helpers.data import TRAIN_MEAN, TRAIN_STD
from helpers.files import replacing
from helpers.inputs import check_images

INPUT, OUTPUT = "images", "logits"  # what a program outside of Python calls them
# From this version on the newer exporter is PyTorch's usual one. In 2.6 it fails on batch norm with a new onnxscript.
NEW_EXPORTER = (2, 9)
OPSET = 18  # the version of ONNX's list of operators; onnxruntime-web reads it since 2023


class WithPreprocessing(nn.Module):
    """A network that takes grey levels: scaling and normalisation are its first layer, so nobody can forget them.

    Parameters
    ----------
    network : nn.Module
        Takes normalised images and returns logits.
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits, float32 (N, 10), of images, uint8 (N, 1, 28, 28)."""
        return self.network((images.float() / 255 - TRAIN_MEAN) / TRAIN_STD)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the exporters' remarks on their own insides off the screen; errors still come through."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def version_of_torch() -> tuple[int, int]:
    """Return PyTorch's version, such as (2, 9)."""
    major, minor = torch.__version__.split(".")[:2]
    return int(major), int(minor)


def export_onnx(model: nn.Module, path: Path) -> Path:
    """Write a network with its preprocessing as one ONNX file.

    The file's input is `images`, uint8 (batch, 1, 28, 28) from 0 to 255, its output `logits`, float32 (batch, 10);
    a batch may hold any number of images. The model itself stays as it is, also its mode.

    Parameters
    ----------
    model : nn.Module
        Takes normalised images, float32 (N, 1, 28, 28), and returns logits, (N, 10).
    path : Path
        Ends in .onnx. Its folder is made where it is missing, and a file of that name is replaced.

    Returns
    -------
    Path
        The same path.
    """
    path = Path(path)
    network = copy.deepcopy(model).cpu().eval().to(memory_format=torch.contiguous_format)
    example = torch.zeros(2, 1, 28, 28, dtype=torch.uint8)  # one image would fix the batch at 1
    settings = {"opset_version": OPSET, "input_names": [INPUT], "output_names": [OUTPUT], "verbose": False}
    if version_of_torch() >= NEW_EXPORTER:
        settings |= {"dynamo": True, "dynamic_shapes": ({0: torch.export.Dim("batch")},)}
    else:
        settings |= {"dynamo": False, "dynamic_axes": {INPUT: {0: "batch"}, OUTPUT: {0: "batch"}}}
    with quiet(), replacing(path) as part:
        program = torch.onnx.export(
            WithPreprocessing(network).eval(), (example,), None if settings["dynamo"] else str(part), **settings
        )
        graph = program.model_proto if settings["dynamo"] else onnx.load(str(part))
        onnx.save(without_remarks(graph), str(part))
    return path


def without_remarks(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Take away what the exporter notes on its own insides, such as lines of code: a third of a small file."""
    del graph.metadata_props[:]
    del graph.graph.metadata_props[:]
    for part in [*graph.graph.node, *graph.graph.input, *graph.graph.output, *graph.graph.value_info]:
        del part.metadata_props[:]
        part.doc_string = ""
    return graph


def open_onnx(path: Path, threads: int = 0) -> onnxruntime.InferenceSession:
    """Open an ONNX file to be run on the processor.

    Parameters
    ----------
    path : Path
        The file.
    threads : int
        How many threads compute; 0 leaves it to onnxruntime.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def run_onnx(session: onnxruntime.InferenceSession, images: torch.Tensor, batch_size: int = 100) -> np.ndarray:
    """Return the logits that an ONNX file gives images.

    Parameters
    ----------
    session : onnxruntime.InferenceSession
        From `open_onnx`.
    images : torch.Tensor
        uint8, (N, 1, 28, 28).
    batch_size : int
        Images at a time.

    Returns
    -------
    np.ndarray
        float32, (N, 10).

    Raises
    ------
    TypeError, ValueError
        For images of another kind, such as floats that were scaled before.
    """
    images = check_images("run_onnx", images).cpu().numpy()
    return np.concatenate(
        [
            session.run([OUTPUT], {INPUT: images[start : start + batch_size]})[0]
            for start in range(0, len(images), batch_size)
        ]
    )


class Calibration(CalibrationDataReader):
    """Hand images to the quantiser, a batch at a time, so that it sees how large the numbers inside become.

    Parameters
    ----------
    images : torch.Tensor
        uint8, (N, 1, 28, 28), of the training part: the validation images shall judge the result.
    batch_size : int
        Images at a time.
    """

    def __init__(self, images: torch.Tensor, batch_size: int = 100):
        self.batches = iter(images.cpu().split(batch_size))

    def get_next(self) -> dict[str, np.ndarray] | None:
        batch = next(self.batches, None)
        return None if batch is None else {INPUT: batch.numpy()}


def quantize_onnx(path: Path, images: torch.Tensor, new_path: Path, weight_bits: int = 7) -> Path:
    """Write a copy of an ONNX file whose convolutions multiply whole numbers of 8 bits: static quantisation.

    Weights become int8, with a scale for each output channel; what flows between the layers becomes uint8, with a
    scale found by showing the network some images. Input, output and their types stay.

    Parameters
    ----------
    path, new_path : Path
        The float32 file, and where to write the other.
    images : torch.Tensor
        uint8, (N, 1, 28, 28), some hundred training images.
    weight_bits : {7, 8}
        7 keeps weights within -64 to 64. Processors without instructions for int8 (VNNI) add two products in 16 bits,
        where 8 bits can overflow: 2 * 255 * 127 is more than 32,767. They then give wrong sums, and say nothing.

    Returns
    -------
    Path
        The new path.

    Raises
    ------
    ValueError
        For another number of bits, or images of another kind.
    """
    if weight_bits not in (7, 8):
        raise ValueError(f"quantize_onnx wants weight_bits as 7 or 8, but got {weight_bits!r}.")
    images = check_images("quantize_onnx", images)
    with quiet(), tempfile.TemporaryDirectory() as folder, replacing(Path(new_path)) as part:
        prepared = os.path.join(folder, "prepared.onnx")
        quant_pre_process(str(path), prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            str(part),
            Calibration(images),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            reduce_range=weight_bits == 7,
        )
    return Path(new_path)


def graph_steps(path: Path) -> list[str]:
    """Return the operators of an ONNX file in the order in which they are applied, without plain numbers."""
    return [node.op_type for node in onnx.load(str(path)).graph.node if node.op_type != "Constant"]


def kilobytes(path: Path) -> float:
    """Return the size of a file in kB, that is in thousands of bytes."""
    return Path(path).stat().st_size / 1000
