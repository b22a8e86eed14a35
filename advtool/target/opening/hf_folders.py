"""``hf:FOLDER``: open an image classifier that transformers saved (an extra)."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from advtool.errors import InputError
from advtool.target.opening import hf_processors
from advtool.target.opening.extras import required
from advtool.target.opening.hf_processors import Preprocessing
from advtool.target.opening.kinds import Reference
from advtool.target.opening.spec import ModelSpec, Opened
from advtool.target.opening.user_code import one_line, quietly


class Logits(nn.Module):
    """A classifier of transformers that answers with its logits alone.

    Args:
        classifier: takes ``pixel_values`` (N, C, H, W) and answers with an object that has ``logits`` (N, classes).
        order: the channel of the images that becomes the classifier's first, second, ... channel; None: as they are.
    """

    def __init__(self, classifier: nn.Module, order: tuple[int, ...] | None = None) -> None:
        super().__init__()
        self.classifier, self.order = classifier, order

    def forward(self, x: Tensor) -> Tensor:
        if self.order is not None:
            x = x[:, list(self.order)]
        logits: Tensor = self.classifier(pixel_values=x).logits
        return logits


def make(reference: Reference, spec: ModelSpec) -> Opened:
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
    found = hf_processors.read(transformers, folder, _channels(model.config))
    return Opened(
        Logits(model, found.order),
        mean=found.mean,
        std=found.std,
        input_size=found.size,
        class_names=_class_names(model.config),
        notes=_notes(folder, spec, found),
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


def _channels(config: Any) -> int:
    """How many channels the classifier's images have. A wrapped timm model says it in timm's own terms."""
    if of_timm := getattr(config, "pretrained_cfg", None):
        return int(of_timm.get("input_size", (3,))[0])
    return int(getattr(getattr(config, "vision_config", config), "num_channels", 3))


def _notes(folder: Path, spec: ModelSpec, found: Preprocessing) -> tuple[str, ...]:
    said = []
    if found.mean and found.std and spec.mean is None:
        mean, std = ([round(value, 4) for value in values] for values in (found.mean, found.std))
        said.append(f"mean {mean} and std {std}")
    if found.order:
        said.append(f"channels in the order {', '.join(map(str, found.order))}")
    if found.size:
        said.append(f"images of {found.size[0]}x{found.size[1]}")
    return (f"'{folder}' brings {', '.join(said)} (its image processor)",) if said else ()
