"""``FILE.onnx``: convert a graph to PyTorch with onnx2pytorch, and compare it with ONNX's own reference (an extra)."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from advtool.errors import InputError
from advtool.target.opening.batches import AnyBatch
from advtool.target.opening.extras import required
from advtool.target.opening.graphs import check_tensors, fixed_batches_note, not_images
from advtool.target.opening.kinds import Reference
from advtool.target.opening.spec import ModelSpec, Opened
from advtool.target.opening.user_code import one_line

DEFAULT_IMAGE_SIDE = 224
"""Height and width of the images that check the conversion, if the graph leaves its size open."""
MAX_CONVERSION_ERROR = 1e-3
"""Logits may differ by this share of the largest logit. Float32 rounding stays far below, in deep networks too."""


class Converted(nn.Module):
    """A graph that onnx2pytorch converted, without the converter's warnings about how it indexes tensors.

    Args:
        graph: maps images (N, C, H, W) to logits (N, classes).
    """

    def __init__(self, graph: nn.Module) -> None:
        super().__init__()
        self.graph = graph

    def forward(self, x: Tensor) -> Tensor:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            logits: Tensor = self.graph(x)
        return logits


def make(reference: Reference, spec: ModelSpec) -> Opened:  # noqa: ARG001 - every kind has this signature
    """Open the graph as a module for batches of any size.

    The converter gets some operators wrong. So the module must give the same logits as ONNX's reference
    implementation on a few images.

    Raises:
        InputError: a package is absent, the file is damaged, the conversion fails, or the converted module gives other
            logits.
    """
    path = Path(reference.name)
    onnx, onnx2pytorch = required(reference.kind)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with one_line(f"'{path}' cannot be read as ONNX"):
            graph = onnx.load(path)
        batch, channels, height, width = _input_shape(path, graph)
        with one_line(f"'{path}' cannot be converted to PyTorch", _other_ways):
            model = Converted(onnx2pytorch.ConvertModel(_without_unknown_parts(graph)))
            model.eval()
            _forget_running_statistics(model)
        _compare(path, graph, model, (batch or 3, channels, height or DEFAULT_IMAGE_SIDE, width or DEFAULT_IMAGE_SIDE))
    return Opened(
        AnyBatch(model, batch, batch) if batch else model,
        input_size=(height, width) if height and width else None,
        notes=(fixed_batches_note(path, batch),) if batch else (),
    )


def _input_shape(path: Path, graph: Any) -> tuple[int, int, int, int]:
    """The shape (N, C, H, W) of the graph's one input; 0 stands for a size that may vary, which some write as -1."""
    constants = {tensor.name for tensor in graph.graph.initializer}
    inputs = [place for place in graph.graph.input if place.name not in constants]
    check_tensors(path, len(inputs), len(graph.graph.output))
    sizes = [max(dimension.dim_value, 0) for dimension in inputs[0].type.tensor_type.shape.dim]
    if len(sizes) != 4 or not sizes[1]:
        raise not_images(path)
    batch, channels, height, width = sizes
    return batch, channels, height, width


def _without_unknown_parts(graph: Any) -> Any:
    """A copy of the graph without two things that the converter does not know.

    These are ``Identity`` of a constant, by which exporters share equal weights, and the attribute
    ``training_mode=0``.
    """
    slim = type(graph)()
    slim.CopyFrom(graph)
    sources = {tensor.name: tensor.name for tensor in slim.graph.initializer}
    outputs = {place.name for place in slim.graph.output}
    copies = []
    for node in slim.graph.node:
        if node.op_type == "Identity" and node.input[0] in sources and node.output[0] not in outputs:
            sources[node.output[0]] = sources[node.input[0]]
            copies.append(node)
    for node in copies:
        slim.graph.node.remove(node)
    for node in slim.graph.node:
        for attribute in [known for known in node.attribute if known.name == "training_mode" and not known.i]:
            node.attribute.remove(attribute)
        for place, name in enumerate(node.input):
            node.input[place] = sources.get(name, name)
    return slim


def _forget_running_statistics(model: nn.Module) -> None:
    """Let InstanceNormalization use each image's own statistics, as ONNX says. The converter gives it running ones."""
    for module in model.modules():
        if isinstance(module, nn.modules.instancenorm._InstanceNorm):
            module.track_running_stats, module.running_mean, module.running_var = False, None, None


def _compare(path: Path, graph: Any, model: nn.Module, shape: tuple[int, ...]) -> None:
    """Refuse the model if it gives other logits than ONNX's reference on images of ``shape`` (N, C, H, W)."""
    from onnx.reference import ReferenceEvaluator  # noqa: PLC0415 - an extra

    images = np.random.default_rng(0).random(shape, dtype=np.float32)
    with one_line(f"the conversion of '{path}' cannot be checked", _other_ways):
        evaluator = ReferenceEvaluator(graph)
        expected = evaluator.run(None, {evaluator.input_names[0]: images})[0]
        with torch.no_grad():
            given = model(torch.from_numpy(images)).numpy()
        scale = max(float(np.abs(expected[np.isfinite(expected)]).max(initial=0)), 1e-12)
    if given.shape != expected.shape or not np.allclose(given, expected, rtol=0, atol=MAX_CONVERSION_ERROR * scale):
        raise InputError(f"the conversion of '{path}' to PyTorch gives other logits than ONNX{_other_ways()}")


def _other_ways(_: BaseException | None = None) -> str:
    return "; give the model as 'FILE.py:FACTORY' with --weights, or export it with torch.export (.pt2)"
