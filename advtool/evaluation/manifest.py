"""What a run's numbers depend on: its question, the models, the machine. A run with another question is refused."""

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from advtool import documents
from advtool.errors import InputError
from advtool.target.facts import Facts

MANIFEST, IDENTITY = "manifest.json", "model.safetensors"
PASS, SURROGATE_PASS = "images_a_pass", "surrogate_images_a_pass"
"""Names in the environment: how many images go through the model at once, and through the model to transfer from."""
FOLLOWING = ("attacks", "stages", "images_a_shard")
"""Of a configuration, what follows from the other settings: step sizes, the probes of an audit, and what fits into
minutes of work."""


class Decision(BaseModel):
    """Whether a run proves images robust. It is made once and kept with the run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    passes: float | None = None
    """about what the bounds of an image cost, in forward passes; None if the model has none"""
    reason: str | None = None
    """why the run does without proofs; None: it has them"""


class Manifest(BaseModel):
    """Everything that a run's numbers depend on."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    schema_name: Literal["advtool.run/1"] = Field(default="advtool.run/1", alias="schema")
    configuration: dict[str, Any]
    environment: dict[str, Any]
    """its ``images_a_pass`` is a number that the run goes on with, and so is the surrogate's"""
    facts: Facts | None = None
    surrogate_facts: Facts | None = None
    moot: tuple[str, ...] = ()
    """labels of the cascade's attacks that are left out: on this model they repeat another one, or cost too much"""
    certification: Decision | None = None
    """whether images are proved robust; None if nobody asked"""
    created: AwareDatetime
    asked: dict[str, Any] | None = None
    """the settings that are not the default, to ask again; None if an older version began the run"""

    @field_validator("configuration", "environment")
    @classmethod
    def _has_sizes(cls, values: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        keys = {"images_a_shard"} if info.field_name == "configuration" else {PASS} | values.keys() & {SURROGATE_PASS}
        for key in keys:
            count = values.get(key)
            if isinstance(count, bool) or not isinstance(count, int) or count < 1:
                raise ValueError(f"{key} is no positive integer")
        return values

    @property
    def passes(self) -> dict[str, int]:
        """How many images go through each model at once, by the name in the environment."""
        return {key: self.environment[key] for key in (PASS, SURROGATE_PASS) if key in self.environment}

    @property
    def images_a_shard(self) -> int:
        """The size of the shards, which stays as it is where the run goes on, also on a device of other shards."""
        return int(self.configuration["images_a_shard"])


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of the run in ``folder``; None if the folder is empty or absent.

    Raises:
        InputError: the manifest is damaged, or the folder holds something else.
    """
    path = folder / MANIFEST
    if not path.exists():
        is_other = folder.exists() and (not folder.is_dir() or any(map(_is_foreign, _names(folder))))
        if is_other and not path.exists():  # another process may have begun the run since
            raise InputError(f"run_dir='{folder}' exists and is not a run: name a new or empty folder")
        if not path.exists():
            return None
    try:
        return Manifest.model_validate(documents.read(folder, MANIFEST))
    except (ValueError, OSError):
        raise InputError(f"run_dir='{folder}': its manifest.json is damaged; name another folder") from None


def read_begun(folder: Path) -> Manifest | None:
    """The manifest of a run that is begun: its model is noted too, which comes last. Errors as :func:`read_manifest`.

    None also after a kill in between. Nothing tells yet which model the manifest is about, so the run begins anew.
    """
    manifest = read_manifest(folder)
    is_begun = (folder / IDENTITY).exists() or any((folder / "shards").glob("*.json"))  # each shard has answers too
    return manifest if is_begun else None


def _names(folder: Path) -> list[str]:
    try:
        return [path.name for path in folder.iterdir()]
    except FileNotFoundError:  # another process began no run there, and has removed it since
        return []


def _is_foreign(name: str) -> bool:
    """Whether somebody else put the file there. Hidden ones are locks, seals, or what a killed write left."""
    return not name.startswith(".")


def refuse_changes(folder: Path, before: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Refuse to go on with a run that asks something else.

    Raises:
        InputError: the configurations differ; each difference is named.
    """
    found = differences(before, wanted)
    if found.keys() == {"code"}:
        there, here = found["code"]
        raise InputError(
            f"run_dir='{folder}' holds a run of another version of advtool ({there}; this is {here}): go on with "
            "that one, or name another folder"
        )
    changes = [f"{key}: there {json.dumps(there)}, here {json.dumps(here)}" for key, (there, here) in found.items()]
    if changes:
        raise InputError(
            f"run_dir='{folder}' holds a run of another configuration ({'; '.join(changes)}): "
            "name another folder, or give the same settings"
        )


def differences(before: dict[str, Any], wanted: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The values that differ, before and now, by dotted name such as ``attacks.pgd.steps``."""
    there, here = _flat(before), _flat(wanted)
    keys = sorted(there.keys() | here.keys())
    return {key: (there.get(key), here.get(key)) for key in keys if there.get(key) != here.get(key)}


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) and value else {prefix + key: value}
    return flat
