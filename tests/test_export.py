"""An exported network takes grey levels in batches of any size and gives PyTorch's logits, nearly so in int8."""

import logging
import warnings

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from helpers import export
from helpers.data import normalize
from helpers.models import LeanCNN


@pytest.fixture(scope="module")
def images():
    return torch.randint(0, 256, (250, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def network(images):
    """Make a LeanCNN that has seen images, in the order in memory and the mode in which training leaves it."""
    torch.manual_seed(0)
    model = LeanCNN()
    with torch.no_grad():
        for batch in images.split(50):
            model(normalize(batch))
    return model.to(memory_format=torch.channels_last)


@pytest.fixture(scope="module")
def file(network, tmp_path_factory):
    return export.export_onnx(network, tmp_path_factory.mktemp("export") / "new folder" / "lean.onnx")


@pytest.fixture(scope="module")
def small_file(file, images):
    return export.quantize_onnx(file, images[:200], file.with_name("lean_int8.onnx"))


@torch.inference_mode()
def logits_of(network, images):
    was_training = network.training
    logits = network.eval()(normalize(images)).numpy()
    network.train(was_training)
    return logits


def test_the_logits_are_those_of_pytorch(network, file, images):
    found = export.run_onnx(export.open_onnx(file), images)
    expected = logits_of(network, images)
    assert found.dtype == np.float32 and found.shape == (250, 10)
    assert abs(found - expected).max() < 1e-4 * np.ptp(expected)


@pytest.mark.parametrize("number", [1, 2, 7, 250])
def test_a_batch_may_hold_any_number_of_images(file, images, number):
    session = export.open_onnx(file, threads=1)
    at_once = session.run([export.OUTPUT], {export.INPUT: images[:number].numpy()})[0]
    assert np.allclose(at_once, export.run_onnx(session, images, batch_size=60)[:number], atol=1e-4)


def test_names_types_and_operators_are_what_a_web_page_needs(file):
    graph = onnx.load(str(file))
    onnx.checker.check_model(graph)
    [given], [returned] = graph.graph.input, graph.graph.output
    assert (given.name, returned.name) == ("images", "logits")
    assert given.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert returned.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    batch, *rest = given.type.tensor_type.shape.dim
    assert batch.dim_param and [size.dim_value for size in rest] == [1, 28, 28]
    common = {"Cast", "Div", "Sub", "Mul", "Add", "Conv", "MaxPool", "BatchNormalization", "Relu", "Reshape", "Flatten"}
    assert set(export.graph_steps(file)) <= common
    assert {entry.domain for entry in graph.opset_import} == {""}
    assert not graph.graph.node[0].metadata_props and "/" not in str(graph.graph.node[0].doc_string)


def test_the_exporter_of_an_older_pytorch_gives_the_same_logits(network, images, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(export, "NEW_EXPORTER", (99, 0))
    path = export.export_onnx(network, tmp_path / "old.onnx")
    for number in (1, 7):
        found = export.run_onnx(export.open_onnx(path), images[:number])
        assert np.allclose(found, logits_of(network, images[:number]), atol=1e-4)
    assert export.graph_steps(path)[0] == "Cast" and capfd.readouterr() == ("", "")


def test_the_model_stays_as_it_was(network, file):
    assert network.training
    assert network[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert sorted(path.name for path in file.parent.iterdir() if path.suffix != ".onnx") == []


def test_a_failed_export_leaves_no_file(tmp_path):
    class Picky(nn.Module):
        def forward(self, x):
            raise RuntimeError("no")

    with pytest.raises(Exception):  # noqa: B017 - PyTorch wraps it in an error of its own
        export.export_onnx(Picky(), tmp_path / "x.onnx")
    assert list(tmp_path.iterdir()) == []


def test_int8_is_small_and_near(network, file, small_file, images):
    assert export.kilobytes(small_file) < 0.4 * export.kilobytes(file)
    expected = logits_of(network, images)
    found = export.run_onnx(export.open_onnx(small_file), images)
    assert abs(found - expected).mean() < 0.2 * expected.std()
    assert not np.array_equal(found, export.run_onnx(export.open_onnx(file), images))
    weights = [tensor for tensor in onnx.load(str(small_file)).graph.initializer if len(tensor.dims) == 4]
    assert len(weights) == 4 and {tensor.data_type for tensor in weights} == {onnx.TensorProto.INT8}


def test_seven_bits_keep_to_half_of_the_range_and_eight_use_it(file, small_file, images):
    eight = export.quantize_onnx(file, images[:50], file.with_name("eight.onnx"), weight_bits=8)
    largest = {}
    for path in (small_file, eight):
        tensors = onnx.load(str(path)).graph.initializer
        largest[path] = max(abs(onnx.numpy_helper.to_array(t).astype(int)).max() for t in tensors if len(t.dims) == 4)
    assert largest[small_file] in (63, 64) and largest[eight] in (127, 128)
    with pytest.raises(ValueError, match="7 or 8"):
        export.quantize_onnx(file, images[:50], eight, weight_bits=4)


def test_calibration_hands_out_every_image_once_then_nothing(images):
    reader = export.Calibration(images, batch_size=100)
    batches = [reader.get_next()["images"] for _ in range(3)]
    assert np.array_equal(np.concatenate(batches), images.numpy()) and reader.get_next() is None


def test_nothing_is_printed_and_no_warning_escapes(network, images, tmp_path, capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        path = export.export_onnx(network, tmp_path / "a.onnx")
        export.open_onnx(export.quantize_onnx(path, images[:20], tmp_path / "b.onnx"))
    assert capfd.readouterr() == ("", "")


def test_quiet_holds_back_remarks_and_not_for_ever(caplog):
    with export.quiet():
        logging.warning("a remark")
    assert caplog.records == []
    logging.warning("heard again")
    assert [record.message for record in caplog.records] == ["heard again"]


def test_scaled_images_are_refused(file, small_file, images):
    session = export.open_onnx(file)
    with pytest.raises(ValueError, match="uint8"):
        export.run_onnx(session, images.float() / 255)
    with pytest.raises(ValueError, match="uint8"):
        export.quantize_onnx(file, images.float(), small_file)


def test_sessions_run_on_the_processor(file):
    assert isinstance(export.open_onnx(file), onnxruntime.InferenceSession)
    assert export.open_onnx(file).get_providers() == ["CPUExecutionProvider"]
