"""What exported programs and ONNX graphs share: checks of their inputs and outputs, and a note about fixed batches."""

from pathlib import Path

from advtool.errors import InputError

EXPORT_ADVICE = "export a model that maps images to logits"


def check_tensors(path: Path | str, inputs: int, outputs: int) -> None:
    """Refuse a graph that does not take one tensor and give one.

    Args:
        path: the file, for the message.
        inputs: number of tensors that the graph takes.
        outputs: number of tensors that the graph gives.

    Raises:
        InputError: one of the numbers is not 1.
    """
    if inputs != 1 or outputs != 1:
        raise InputError(f"'{path}' takes {inputs} tensors and gives {outputs}: {EXPORT_ADVICE}")


def not_images(path: Path | str) -> InputError:
    """The error about a graph that takes something else than images (N, C, H, W)."""
    return InputError(f"'{path}' does not take images (N, C, H, W): {EXPORT_ADVICE}")


def fixed_batches_note(path: Path | str, count: int) -> str:
    """The note about a graph that takes batches of ``count`` images only."""
    return f"'{path}' was exported for batches of {count}: other batches are split and filled up"
