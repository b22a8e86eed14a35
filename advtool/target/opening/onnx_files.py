"""``FILE.onnx``: a graph, converted to PyTorch by onnx2pytorch and held against ONNX's own reference (an extra)."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from advtool.errors import InputError
from advtool.target.opening.batches import AnyBatch
from advtool.target.opening.extras import required
from advtool.target.opening.kinds import Reference
from advtool.target.opening.spec import Made, ModelSpec
from advtool.target.opening.user_code import one_line

SIDE = 224
"""of the images that the conversion is checked on, where the graph leaves the size open"""
TOLERANCE = 1e-3
"""that a conversion may be off, as a share of the largest logit: float32 rounding in deep nets stays far below"""


class Converted(nn.Module):
    """What onnx2pytorch made, without the warnings of its way to index.

    Args:
        graph: maps images (N, C, H, W) to logits.
    """

    def __init__(self, graph: nn.Module) -> None:
        super().__init__()
        self.graph = graph

    def forward(self, x: Tensor) -> Tensor:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            logits: Tensor = self.graph(x)
        return logits


def make(reference: Reference, spec: ModelSpec) -> Made:  # noqa: ARG001 - every kind has this signature
    """The graph as a module, for batches of any size.

    The converter knows most operators, but not all of them well: what it makes is asked for a few images, and
    refused if ONNX's reference implementation answers otherwise.

    Raises:
        InputError: a package is absent, the file is damaged, or the conversion fails or answers otherwise.
    """
    path = Path(reference.name)
    onnx, onnx2pytorch = required("onnx", "onnx"), required("onnx2pytorch", "onnx")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with one_line(f"'{path}' cannot be read as ONNX"):
            graph = onnx.load(path)
        batch, channels, height, width = _input_shape(path, graph)
        with one_line(f"'{path}' cannot be converted to PyTorch", _instead):
            model = Converted(onnx2pytorch.ConvertModel(_as_the_converter_likes(graph)))
            model.eval()
            _forget_running_statistics(model)
        _compare(path, graph, model, (batch or 3, channels, height or SIDE, width or SIDE))
    return Made(
        AnyBatch(model, batch, batch) if batch else model,
        input_size=(height, width) if height and width else None,
        notes=(f"'{path}' was exported for batches of {batch}: others are split and filled up",) if batch else (),
    )


def _input_shape(path: Path, graph: Any) -> tuple[int, int, int, int]:
    """The shape of its one input; 0 stands for what may vary."""
    constants = {tensor.name for tensor in graph.graph.initializer}
    inputs = [place for place in graph.graph.input if place.name not in constants]
    if len(inputs) != 1 or len(graph.graph.output) != 1:
        raise InputError(
            f"'{path}' takes {len(inputs)} tensors and gives {len(graph.graph.output)}: "
            "export a model that maps images to logits"
        )
    sizes = [dimension.dim_value for dimension in inputs[0].type.tensor_type.shape.dim]
    if len(sizes) != 4 or not sizes[1]:
        raise InputError(f"'{path}' does not take images (N, C, H, W): export a model that maps images to logits")
    batch, channels, height, width = sizes
    return batch, channels, height, width


def _as_the_converter_likes(graph: Any) -> Any:
    """The graph without ``Identity`` of a constant (equal weights are shared so) and of ``training_mode=0``."""
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
    """ONNX's InstanceNormalization takes each image's own statistics; the converter's running ones are a mistake."""
    for module in model.modules():
        if isinstance(module, nn.modules.instancenorm._InstanceNorm):
            module.track_running_stats, module.running_mean, module.running_var = False, None, None


def _compare(path: Path, graph: Any, model: nn.Module, shape: tuple[int, ...]) -> None:
    from onnx.reference import ReferenceEvaluator  # noqa: PLC0415 - an extra

    images = np.random.default_rng(0).random(shape, dtype=np.float32)
    with one_line(f"the conversion of '{path}' cannot be checked", _instead):
        evaluator = ReferenceEvaluator(graph)
        expected = evaluator.run(None, {evaluator.input_names[0]: images})[0]
        with torch.no_grad():
            given = model(torch.from_numpy(images)).numpy()
    scale = max(float(np.abs(expected[np.isfinite(expected)]).max(initial=0)), 1e-12)
    if given.shape != expected.shape or not np.allclose(given, expected, rtol=0, atol=TOLERANCE * scale):
        raise InputError(f"the conversion of '{path}' to PyTorch answers otherwise than ONNX does{_instead(None)}")


def _instead(_: BaseException | None) -> str:
    return "; give the model as 'FILE.py:FACTORY' with --weights, or export it with torch.export (.pt2)"
