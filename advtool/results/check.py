"""What is understood of a model and its data before an attack: the document ``advtool.check/1``."""

from typing import Any, Literal

from pydantic import Field

from advtool.results.evaluation import CleanAccuracy, DatasetInfo
from advtool.results.record import Document
from advtool.threat import ThreatModel


class Check(Document):
    """What is understood of a model and its data before anything is attacked. ``to_dict`` is the JSON document."""

    schema_name: Literal["advtool.check/1"] = Field(default="advtool.check/1", alias="schema")
    checkpoint: dict[str, Any] | None
    model: dict[str, Any]
    dataset: DatasetInfo
    threat_model: ThreatModel
    eot: int
    votes: int
    classes: int
    input_shape: tuple[int, ...]
    """(C, H, W)"""
    pixel_range: tuple[float, float]
    """of the images"""
    parameters: int
    """numbers in the model's weights"""
    randomness: str
    """how the outputs of identical calls vary: none, each image, each call"""
    state: list[str]
    """buffers and attributes that the model's own calls change"""
    no_gradient: str | None
    """why autograd finds no gradient; None where it finds one"""
    images_a_pass: int
    seconds: float
    """that the attacks take at most, about"""
    clean: CleanAccuracy
    """of the first images, at most 100"""
    chance: float
    """the accuracy of guessing"""
    better_than_chance: bool
    cause: str | None
    """a likely mistake, without which the model would be better than guessing"""
    environment: dict[str, Any]
