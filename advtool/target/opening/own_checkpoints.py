"""``FILE.safetensors``: open a checkpoint that ``advtool train`` wrote."""

from pathlib import Path

from advtool import checkpoints, models, tensor_files
from advtool.errors import InputError
from advtool.target.opening.kinds import Reference
from advtool.target.opening.spec import ModelSpec, Opened


def make(reference: Reference, spec: ModelSpec) -> Opened:  # noqa: ARG001 - every kind has this signature
    """Open the model of a checkpoint, with the checkpoint's header.

    Raises:
        InputError: the file is damaged, or holds weights without advtool's header.
    """
    path = Path(reference.name)
    if not _has_header(path):
        raise InputError(
            f"'{path}' holds weights without advtool's header, so the architecture is unknown: "
            f"name the model's factory and give the file with --weights '{path}'"
        )
    header = checkpoints.read_header(path)
    _, height, width = header.architecture.input_shape
    return Opened(models.load_checkpoint(path), header=header, input_size=(height, width))


def _has_header(path: Path) -> bool:
    try:
        return checkpoints.HEADER_KEY in tensor_files.read_texts(path)
    except (ValueError, OSError):
        return True  # read_header says what is wrong with the file
