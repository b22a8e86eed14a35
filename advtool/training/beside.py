"""The files beside a checkpoint while its training goes on."""

from pathlib import Path

from advtool.checkpoints import SUFFIX

PARTIAL, STATE = f".partial{SUFFIX}", f".state{SUFFIX}"


def partial_path(output: Path) -> Path:
    """``NAME.partial.safetensors`` beside ``NAME.safetensors``: the best epoch so far."""
    return _beside(output, PARTIAL)


def state_path(output: Path) -> Path:
    """``NAME.state.safetensors`` beside ``NAME.safetensors``: the state after the last epoch."""
    return _beside(output, STATE)


def output_beside(file: Path) -> Path:
    """``NAME.safetensors`` beside the other two; any other file is an output itself."""
    for suffix in (PARTIAL, STATE):
        if file.name.endswith(suffix):
            return _beside(file, SUFFIX, suffix)
    return file


def _beside(file: Path, suffix: str, instead_of: str = SUFFIX) -> Path:
    return file.with_name(file.name.removesuffix(instead_of) + suffix)
