"""A model's graph with less to compute: batch norms become part of their convolutions, poolings come before ReLUs."""

import pickle
from collections import Counter
from collections.abc import Iterator

import torch
from torch import fx, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from advtool import seeding
from advtool.compute.convolution import QuickConv2d

CONVOLUTIONS = (nn.Conv2d, QuickConv2d)


def trace(model: nn.Module, device: torch.device) -> fx.GraphModule:
    """``model`` as a graph of its own layers.

    A trace holds what Python did while it was made, once and for all: a member that was drawn, a counter's branch. So
    a model whose own state, or a global generator, has moved by then is refused, and one whose containers have hooks,
    which would see no tensors. Meanwhile no other thread may run a model: torch traces all modules of a process.

    Args:
        model: in eval mode; its layers become the graph's.
        device: whose generators to watch.

    Raises:
        ValueError: such a model.
        Exception: whatever comes of tracing a model whose course depends on its values, or of pickling its state.
    """
    tracer = _Tracer()
    for name, module in model.named_modules():
        if _has_hooks(module) and (module is model or not tracer.is_leaf_module(module, name)):
            raise ValueError("a container has hooks")
    before = seeding.global_states(device), _state(model)
    graph = tracer.trace(model)
    if (seeding.global_states(device), _state(model)) != before:
        raise ValueError("the model changes while it is traced")
    return fx.GraphModule(model, graph)


def rewritten(model: nn.Module, device: torch.device) -> nn.Module:
    """The same function up to rounding, as a graph of ``model``'s own layers (:func:`trace`).

    Raises:
        ValueError: nothing of the kind is in its graph, or it must not be traced.
        Exception: it cannot be traced.
    """
    traced = trace(model, device)
    folded, swapped = _fold_norms(traced), _pool_first(traced)
    if not (folded or swapped):
        raise ValueError("nothing to rewrite")
    traced.delete_all_unused_submodules()
    traced.recompile()
    return traced


def _state(model: nn.Module) -> bytes:
    """What a forward pass may change in Python: attributes, with their generators and counters, and buffers."""
    usual = vars(nn.Module()).keys() - {"_buffers"}
    return pickle.dumps(
        [{key: value for key, value in vars(module).items() if key not in usual} for module in model.modules()]
    )


class _Tracer(fx.Tracer):
    """Convolutions stay whole, ours and those that a user has derived from torch's."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, nn.Conv2d) or super().is_leaf_module(m, module_qualified_name)


def _fold_norms(traced: fx.GraphModule) -> bool:
    """``norm(conv(x))`` becomes one convolution. Whether there was any."""
    calls = Counter(node.target for node in traced.graph.nodes)
    folded = False
    for before, after in _pairs(traced.graph):
        convolution, norm = _layer(traced, before), _layer(traced, after)
        if not isinstance(convolution, nn.Conv2d) or not isinstance(norm, nn.BatchNorm2d):
            continue
        plain = type(convolution) in CONVOLUTIONS and type(norm) is nn.BatchNorm2d and norm.running_mean is not None
        if plain and calls[before.target] == 1:
            parent, _, name = str(before.target).rpartition(".")
            setattr(traced.get_submodule(parent), name, fuse_conv_bn_eval(convolution, norm))
            after.replace_all_uses_with(before)
            traced.graph.erase_node(after)
            folded = True
    return folded


def _pool_first(traced: fx.GraphModule) -> bool:
    """``max_pool(relu(x))`` becomes ``relu(max_pool(x))``, of which less is left to rectify. Whether there was any."""
    swapped = False
    for relu, pool in _pairs(traced.graph):
        if _is_relu(traced, relu) and _is_max_pool(traced, pool):
            pool.replace_all_uses_with(relu)
            pool.replace_input_with(relu, relu.all_input_nodes[0])
            relu.replace_input_with(relu.all_input_nodes[0], pool)
            pool.append(relu)
            swapped = True
    return swapped


def _pairs(graph: fx.Graph) -> Iterator[tuple[fx.Node, fx.Node]]:
    """Each node with the one whose output it alone takes, as its first argument."""
    for after in list(graph.nodes):
        before = after.args[0] if after.args else None
        if isinstance(before, fx.Node) and len(before.users) == 1:
            yield before, after


def _is_max_pool(traced: fx.GraphModule, node: fx.Node) -> bool:
    layer = _layer(traced, node)
    if type(layer) is nn.MaxPool2d:
        return not layer.return_indices
    return node.target is functional.max_pool2d and not node.kwargs.get("return_indices")


def _is_relu(traced: fx.GraphModule, node: fx.Node) -> bool:
    return node.target in (functional.relu, torch.relu) or type(_layer(traced, node)) is nn.ReLU


def _layer(traced: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    """The layer that a node calls, unless hooks make more of it than the layer."""
    if node.op != "call_module":
        return None
    layer = traced.get_submodule(str(node.target))
    return None if _has_hooks(layer) else layer


def _has_hooks(module: nn.Module) -> bool:
    kinds = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
    return any(kinds)
