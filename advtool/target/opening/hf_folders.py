"""``hf:FOLDER``: open an image classifier that transformers saved (an extra)."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from advtool import documents
from advtool.errors import InputError
from advtool.files import read_bytes
from advtool.target.opening.extras import required
from advtool.target.opening.kinds import Reference
from advtool.target.opening.spec import Made, ModelSpec
from advtool.target.opening.user_code import one_line, quietly


class Logits(nn.Module):
    """A classifier of transformers that answers with its logits alone.

    Args:
        classifier: takes ``pixel_values`` (N, C, H, W) and answers with an object that has ``logits`` (N, classes).
    """

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(pixel_values=x).logits
        return logits


def make(reference: Reference, spec: ModelSpec) -> Made:
    """Open the classifier of a folder. Nothing is downloaded, and code in the folder is never run.

    Raises:
        InputError: transformers is absent, or the folder does not hold a complete image classifier.
    """
    folder = Path(reference.name)
    if not (folder / "config.json").is_file():
        raise InputError(f"'{folder}' has no config.json: name a folder that save_pretrained wrote")
    (transformers,) = required(reference.kind)
    with quietly(), one_line(f"'{folder}' cannot be read as an image classifier of transformers"):
        model, report = transformers.AutoModelForImageClassification.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, dtype=torch.float32, output_loading_info=True
        )
    _check_complete(folder, report)
    mean, std, size = _preprocessing(folder)
    return Made(
        Logits(model),
        mean=mean,
        std=std,
        input_size=size,
        class_names=_class_names(model.config),
        notes=_notes(folder, spec, mean, std, size),
    )


def _check_complete(folder: Path, report: dict[str, Any]) -> None:
    """Refuse a folder that lacks tensors, e.g. those of the head: transformers would draw them at random."""
    absent = sorted(map(str, [*report.get("missing_keys", ()), *report.get("mismatched_keys", ())]))
    if absent:
        raise InputError(
            f"'{folder}' lacks {len(absent)} of the classifier's tensors, e.g. '{absent[0]}': "
            "name a folder whose model was trained to classify"
        )


def _class_names(config: Any) -> tuple[str, ...] | None:
    names = {int(output): str(name) for output, name in (config.id2label or {}).items()}
    return tuple(names[output] for output in range(len(names))) if set(names) == set(range(len(names))) else None


def _preprocessing(folder: Path) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None, tuple[int, int] | None]:
    """Mean and standard deviation for pixels in [0, 1], and the size (H, W), from ``preprocessor_config.json``.

    Each is None if the file does not say it, or if the file is absent.
    """
    file = folder / "preprocessor_config.json"
    if not file.is_file():
        return None, None, None
    with one_line(f"'{file}' cannot be understood"):
        config = documents.parse(read_bytes(file, documents.MOST_BYTES))
        scale = 255 * config.get("rescale_factor", 1 / 255) if config.get("do_rescale", True) else 255
        offset = 1.0 if config.get("rescale_offset") else 0.0
        centre, spread = [0.0], [1.0]
        if config.get("do_normalize", True):
            centre, spread = config.get("image_mean") or [0.0], config.get("image_std") or [1.0]
        # The model sees (scale * x - offset - centre) / spread.
        mean, std = tuple((value + offset) / scale for value in centre), tuple(value / scale for value in spread)
        unchanged = mean == (0.0,) and std == (1.0,)
        return None if unchanged else mean, None if unchanged else std, _size(config)


def _size(config: dict[str, Any]) -> tuple[int, int] | None:
    """The size (H, W) after resizing and cropping; None if the file does not say it."""
    size = config.get("crop_size") if config.get("do_center_crop") else None
    size = size or config.get("size")
    if isinstance(size, int):
        return size, size
    if not isinstance(size, dict):
        return None
    if "shortest_edge" in size:
        return size["shortest_edge"], size["shortest_edge"]
    return (size["height"], size["width"]) if "height" in size else None


def _notes(folder: Path, spec: ModelSpec, mean: Any, std: Any, size: Any) -> tuple[str, ...]:
    said = []
    if mean and spec.mean is None:
        said.append(f"mean {[round(value, 4) for value in mean]} and std {[round(value, 4) for value in std]}")
    if size:
        said.append(f"images of {size[0]}x{size[1]}")
    return (f"'{folder}' brings {', '.join(said)} (preprocessor_config.json)",) if said else ()
