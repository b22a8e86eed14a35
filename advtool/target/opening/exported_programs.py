"""``FILE.pt2``: open a program that ``torch.export.save`` wrote."""

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from advtool.target.opening.archives import writer_of
from advtool.target.opening.batches import AnyBatch
from advtool.target.opening.graphs import check_tensors, fixed_batches_note, not_images
from advtool.target.opening.kinds import Reference
from advtool.target.opening.spec import ModelSpec, Opened
from advtool.target.opening.user_code import one_line, quietly


class Exported(nn.Module):
    """An exported program with ``train()`` and ``eval()``, which change nothing: the export has fixed its mode.

    Args:
        program: maps images (N, C, H, W) to logits, or to a sequence or dict that holds the logits alone.
    """

    def __init__(self, program: nn.Module) -> None:
        super().__init__()
        self.program = program

    def forward(self, x: Tensor) -> Any:
        return self.program(x)

    def train(self, mode: bool = True) -> "Exported":
        self.training = mode
        return self


def make(reference: Reference, spec: ModelSpec) -> Opened:  # noqa: ARG001 - every kind has this signature
    """Open the program as a module for batches of any size.

    Raises:
        InputError: the file is damaged or written by another version of torch, or the program does not map one tensor
            of images to one tensor.
    """
    path = reference.name
    with quietly(), warnings.catch_warnings(), one_line(f"'{path}' cannot be read as a program of torch.export"):
        warnings.simplefilter("ignore")  # torch warns about files of other versions
        writer_of(Path(path))  # refuses what would fill the memory
        program = torch.export.load(path)
        module = program.module()
    shape = _input_shape(path, program)
    smallest, largest = _batch_sizes(program, shape[0])
    model: nn.Module = Exported(module)
    if smallest > 1 or largest is not None:
        model = AnyBatch(model, smallest, largest)
    height, width = shape[-2:]
    fixed = isinstance(height, int) and isinstance(width, int)
    return Opened(
        model,
        input_size=(height, width) if fixed else None,
        notes=(fixed_batches_note(path, smallest),) if smallest == largest else (),
    )


def _input_shape(path: str, program: torch.export.ExportedProgram) -> tuple[Any, ...]:
    """The shape (N, C, H, W) of the program's one input. A size that may vary is a torch.SymInt."""
    signature = program.graph_signature
    inputs, outputs = signature.user_inputs, signature.user_outputs
    check_tensors(path, len(inputs), len(outputs))
    (place,) = (node for node in program.graph.nodes if node.op == "placeholder" and node.name == inputs[0])
    example = place.meta.get("val")
    if not isinstance(example, Tensor) or example.ndim != 4:
        raise not_images(path)
    return tuple(example.shape)


def _batch_sizes(program: torch.export.ExportedProgram, batch: Any) -> tuple[int, int | None]:
    """The fewest and the most images that the program takes at once; None: no limit."""
    if isinstance(batch, int):
        return batch, batch
    bounds = program.range_constraints.get(batch.node.expr)
    if bounds is None:
        return 1, None
    most = int(bounds.upper) if bounds.upper.is_finite and bounds.upper < 1 << 32 else None
    return int(bounds.lower), most
