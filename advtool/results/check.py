"""The preflight of a model and its images, before any attack: the document ``advtool.check/1``."""

from typing import Any, Literal

from pydantic import Field

from advtool.results.evaluation import CleanAccuracy, DatasetInfo
from advtool.results.record import Document, Record
from advtool.threat import ThreatModel


class Certification(Record):
    """Whether the evaluation would prove images robust, and why not."""

    runs: bool
    passes: float | None
    """about what the bounds of an image cost, in forward passes; None if nobody asked, or if there are no bounds"""
    reason: str | None
    """why it would not; None if it would"""


class Check(Document):
    """What is known of a model and its images before anything is attacked. ``to_dict`` is the JSON document."""

    schema_name: Literal["advtool.check/1"] = Field(default="advtool.check/1", alias="schema")
    checkpoint: dict[str, Any] | None
    model: dict[str, Any]
    dataset: DatasetInfo
    threat_model: ThreatModel
    eot: int
    """draws of a gradient"""
    votes: int
    """draws of a prediction"""
    classes: int
    logits_from: str | None = None
    """which of several tensors in the model's answer counts as the logits; None if there was no choice"""
    input_shape: tuple[int, ...]
    """(C, H, W)"""
    pixel_range: tuple[float, float]
    """the smallest and the largest pixel value of the images"""
    parameters: int
    """how many numbers the weights hold"""
    randomness: str
    """how identical calls differ: none (they do not), each image, each call"""
    state: list[str]
    """the names of buffers and attributes that the model's own calls change"""
    no_gradient: str | None
    """why autograd finds no gradient; None where it finds one"""
    images_a_pass: int
    """how many images go through the model together"""
    seconds: float
    """about how long the attacks take at most"""
    clean: CleanAccuracy
    """the clean accuracy on the first images, at most 100"""
    unanswered: int
    """how many of these images have outputs that are NaN or infinite, and so count as misclassified"""
    chance: float
    """the accuracy of guessing: 1 / the classes of the images, or the model's outputs if these are fewer"""
    better_than_chance: bool
    """the 95 % interval of the clean accuracy lies above ``chance``"""
    cause: str | None
    """how to mend a likely mistake if the model is no better than guessing; None if no mistake was found"""
    certification: Certification
    environment: dict[str, Any]
