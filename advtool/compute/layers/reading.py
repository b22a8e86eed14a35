"""Reads the layers of a model by ``torch.export``, which runs it on tensors without data.

So what depends on the values of the images in Python cannot be read, and a model with such a branch is refused. A model
that is written to behave otherwise while torch.export runs it can deceive this.
"""

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from advtool.compute.layers.affine import LogSoftmax
from advtool.compute.layers.graph import LayerGraph, Node
from advtool.compute.layers.lowering import LOWERINGS
from advtool.compute.layers.operation import Operation, Place, UnknownLayer
from advtool.compute.precision import products_in

TRACED_IMAGES = 13
"""What mixes or chooses images shows in the shapes of a batch of a size that nothing else has by chance."""
OF_IMAGES = {"self", "input", "other", "mat1", "tensors"}
"""The names of arguments, in torch's schemas, that may depend on the images. Weights may not."""


def read(model: nn.Module, image: Tensor) -> LayerGraph:
    """The layers of a model, in the mode it is in. Its weights are not copied.

    Args:
        model: float32 (N, C, H, W) -> logits (N, classes).
        image: one image (1, C, H, W) on the model's device.

    Raises:
        UnknownLayer: a layer is unknown, or what the model computes is no fixed graph; the message names it.
    """
    program = _exported(model, image.repeat(TRACED_IMAGES, 1, 1, 1))
    nodes, values = [Node(None, (), tuple(image.shape[1:]), "")], _inputs(program, model)
    for node in program.graph.nodes:
        if node.op == "get_attr":
            values[node.name] = getattr(program.graph_module, node.target)
        elif node.op == "call_function" and (node.users or _is_mutable(node)):  # without users: a check
            values[node.name] = _lowered(nodes, node, values)
        elif node.op == "output":
            return _reachable(nodes, _logits(node, values))
    raise AssertionError("a graph has an output")


def _exported(model: nn.Module, x: Tensor) -> Any:
    for name, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            raise UnknownLayer(f"layer '{name}' is TorchScript" if name else "the model is TorchScript")
    try:
        with _quiet(), _usual_precision(), torch.no_grad():
            return torch.export.export(model, (x,), strict=False)
    except Exception as error:  # whatever torch.export finds in a user's model
        if "data-dependent" in str(error):
            raise UnknownLayer("the model's forward decides by the values of the images") from None
        first = (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
        raise UnknownLayer(f"torch.export cannot read the model: {first}") from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep torch's remarks about the model off the terminal."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


@contextmanager
def _usual_precision() -> Iterator[None]:
    """Let torch.export ask cuDNN's older setting of TF32, which fails next to newer ones. Nothing is computed here.

    Torch.export leaves what cuDNN and oneDNN inherit from the general setting as their own: that is undone.
    """
    backends: Any = torch.backends
    heirs = [each for each in (backends.cudnn, backends.mkldnn) if _precision(each) == _precision(backends)]
    parts = [getattr(backends.cudnn, part) for part in ("conv", "rnn") if hasattr(backends.cudnn, part)]
    with products_in("tf32", parts):
        try:
            yield
        finally:
            for each in heirs:
                each.set_flags()


def _precision(owner: Any) -> str | None:
    return getattr(owner, "fp32_precision", None)


def _inputs(program: Any, model: nn.Module) -> dict[str, Any]:
    """The model's own tensors by the names of the graph's inputs, and the images."""
    signature = program.graph_signature
    own = dict(model.named_parameters(remove_duplicate=False)) | dict(model.named_buffers(remove_duplicate=False))
    known = program.constants | program.state_dict | own
    names = signature.inputs_to_parameters | signature.inputs_to_buffers | signature.inputs_to_lifted_tensor_constants
    return {name: known[origin] for name, origin in names.items()} | {name: Place(0) for name in signature.user_inputs}


def _lowered(nodes: list[Node], node: fx.Node, values: dict[str, Any]) -> Any:
    """The place of the node's layer; its value if it does not depend on the images."""
    target: Any = node.target
    args, kwargs = fx.node.map_arg((node.args, node.kwargs), lambda each: values[each.name])
    output, where = node.meta.get("val"), _where(node)
    name = str(target).removesuffix(".default")
    if _is_mutable(node):
        _check_change(node, values, f"{where} ({name})")
    if not any(isinstance(each, Place) for each in pytree.tree_leaves((args, kwargs))):
        return _constant(target, args, kwargs, f"{where} ({name})")
    lowering = LOWERINGS.get(name.split(".")[1] if name.startswith("aten.") else name)
    if lowering is None:
        raise UnknownLayer(f"{where} ({name}) cannot be bounded")
    if not isinstance(output, Tensor) or output.dtype is not torch.float32:
        raise UnknownLayer(f"{where} ({name}) does not compute in float32")
    if output.ndim < 2 or output.shape[0] != TRACED_IMAGES:
        raise UnknownLayer(f"{where} ({name}) mixes the images of a batch")
    given = _named(target, args) | kwargs
    if any(isinstance(value, Place) and key not in OF_IMAGES for key, value in given.items()):
        raise UnknownLayer(f"{where} ({name}) has weights that depend on the images")
    defaults = {each.name: each.default_value for each in target._schema.arguments if each.name not in given}
    operation = Operation(nodes, tuple(output.shape[1:]), where, name)
    named = {("x" if key in ("self", "input") else key): each for key, each in (defaults | given).items()}
    try:
        return lowering(operation, **named)
    except TypeError:  # an argument that the lowering does not take, such as ``out``
        raise UnknownLayer(f"{where} ({name}) is used in a way that cannot be bounded") from None


def _named(target: Any, args: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip((each.name for each in target._schema.arguments), args, strict=False))


def _constant(target: Any, args: tuple[Any, ...], kwargs: dict[str, Any], where: str) -> Any:
    """The value of an operation that does not depend on the images."""
    if torch.Tag.nondeterministic_seeded in getattr(target, "tags", ()) and _named(target, args).get("train", True):
        raise UnknownLayer(f"{where} is random")
    return target(*args, **kwargs)


def _is_mutable(node: fx.Node) -> bool:
    schema = getattr(node.target, "_schema", None)
    return schema is not None and schema.is_mutable and schema.name != "aten::detach_"


def _check_change(node: fx.Node, values: dict[str, Any], where: str) -> None:
    """Refuse a change in place that shows elsewhere: later under another name of the same memory, or in the model."""
    others = [each for each in node.graph.nodes if each is not node and _storage(each) == _storage(node)]
    later = {each for each in node.graph.nodes if each > node}
    if any(each < node and not later.isdisjoint(each.users) for each in others):
        raise UnknownLayer(f"{where} changes in place what is used elsewhere")
    if any(each.op == "placeholder" and not isinstance(values[each.name], Place) for each in others):
        raise UnknownLayer(f"{where} changes a tensor of the model")


def _storage(node: fx.Node) -> int | None:
    value = node.meta.get("val")
    return value.untyped_storage()._cdata if isinstance(value, Tensor) else None


def _where(node: fx.Node) -> str:
    """The innermost module that the node belongs to, as a message names it."""
    stack = list(node.meta.get("nn_module_stack", {}).values())
    path = stack[-1][0] if stack else ""
    return f"layer '{path}'" if path else "the model's forward"


def _logits(output: fx.Node, values: dict[str, Any]) -> int:
    outputs = pytree.tree_leaves(output.args)
    if len(outputs) != 1:
        raise UnknownLayer(f"the model has {len(outputs)} outputs")
    place = values[outputs[0].name] if isinstance(outputs[0], fx.Node) else None
    if not isinstance(place, Place):
        raise UnknownLayer("the model's output does not depend on the images")
    return place.index


def _reachable(nodes: list[Node], last: int) -> LayerGraph:
    """The nodes that the logits depend on, in their order."""
    needed = {0, last}
    for place in range(last, 0, -1):
        if place in needed:
            needed.update(nodes[place].inputs)
            if isinstance(nodes[place].layer, LogSoftmax) and place != last:
                raise UnknownLayer(f"{nodes[place].name} (aten.log_softmax) is not the last")
    kept = {place: number for number, place in enumerate(sorted(needed))}
    moved = (nodes[place] for place in kept)
    return LayerGraph(tuple(Node(n.layer, tuple(kept[place] for place in n.inputs), n.shape, n.name) for n in moved))
