"""A shard is one slice of a run's images. Its record is what one stage found out about it."""

import math
from collections.abc import Iterator, Sequence
from typing import Annotated, NamedTuple, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

from advtool.attacks.base import TensorAttack
from advtool.results import ModelCalls, Outcome

BYTES_A_SHARD = {"cpu": 240_000 * 2**20, "cuda": 40_000 * 2**30}
"""By device, the activations in bytes that the dearest attack may compute for a shard: minutes of work.

A kill loses no more than this.
"""
MAX_IMAGES_A_SHARD = {"cpu": 1000, "cuda": 4000}
"""By device, the largest shard. It still fills a pass when most images have fallen."""


FIELDS = 3
"""In how many fields of noise a random model is tried."""

InFields = Annotated[list[bool], Field(min_length=FIELDS, max_length=FIELDS)]
AnOutcome = Annotated[int, Field(ge=min(Outcome), le=max(Outcome))]


class Shard(NamedTuple):
    """A slice of a run's images."""

    number: int
    first: int
    """the place of its first image in the run"""
    x: Tensor
    """float32 (n, C, H, W) in [0, 1], on the CPU"""
    y: Tensor
    """int64 (n,)"""

    @property
    def rows(self) -> slice:
        """The places of its images in the run."""
        return slice(self.first, self.first + len(self.y))


class ShardRecord(BaseModel):
    """What one stage found out about a shard of n images.

    A list has n entries, in the order of the images, unless its line says of which images it tells.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: str
    shard: int
    images_a_pass: int
    """how many images went through the model together"""
    seconds: float
    model_calls: ModelCalls
    outcome: list[AnOutcome]
    """values of :class:`advtool.results.Outcome`"""
    prediction: list[int]
    """the predicted class of the image (clean stage), or of the attack's candidate"""
    margin: list[float | None]
    """score of the true class minus the best other score there, or a lower bound of it over the ball; None if it is
    unknown, or if the stage did not see the image"""
    step: list[int | None]
    """the step of the search that found the candidate; None if the attack did not see the image"""
    queries: list[int]
    """passes of the image through the model in the search"""
    distance: list[float | None] | None = None
    """attacks only: how far the verified adversarial example is from its image; None where there is none"""
    example_correct: list[bool] | None = None
    """one-step attacks only: the example, made of every image, is classified right"""
    given_up: int = 0
    """how many images stand because the search gave them up early, as out of reach"""
    late: list[int] | None = None
    """the images, by their place in the shard, that the last round of a search took though it could have gone on"""
    method: str | None = None
    """the stage ``certified`` only: the strongest bounds that it used; None if no image was left to prove"""
    draws_right: list[int] | None = None
    """random models only: how many of as many fresh draws as votes, each on its own, classify the image (clean stage)
    or the attack's candidate right"""
    fields_held: list[InFields] | None = None
    """the stage ``known noise`` only: for each image, in which fields of noise it held"""
    found_by: dict[str, int] | None = None
    """the stage ``planted`` only: how many planted examples each attack found, by its label, in turn"""
    unplantable: str | None = None
    """the stage ``planted`` only: for how many images nothing could be planted, and why; None: for none"""
    answers: list[list[float]] | None = None
    """clean stage only: the logits of a few images under fixed streams, which identify the model later"""

    @property
    def images(self) -> int:
        """How many images it is about, n."""
        return len(self.outcome)

    @model_validator(mode="after")
    def _of_n_images(self) -> Self:
        """A file may be anybody's: lists of other lengths, or places outside the shard, would fail much later."""
        lists = (self.prediction, self.margin, self.step, self.queries, self.distance, self.example_correct)
        if not all(each is None or len(each) == self.images for each in (*lists, self.draws_right, self.fields_held)):
            raise ValueError("its lists have different lengths")
        if self.shard < 0 or not all(0 <= place < self.images for place in self.late or ()):
            raise ValueError("it names an image outside the shard")
        if len({len(answer) for answer in self.answers or ()}) > 1:
            raise ValueError("its answers have different lengths")
        return self


def shards_of(x: Tensor, y: Tensor, images_a_shard: int) -> Iterator[Shard]:
    """Cut images (N, C, H, W) and labels (N,) into shards; the last one may be smaller."""
    parts = zip(x.split(images_a_shard), y.split(images_a_shard), strict=True)
    for number, (images, labels) in enumerate(parts):
        yield Shard(number, number * images_a_shard, images, labels)


def shard_size(attacks: Sequence[TensorAttack], bytes_an_image: int, device_type: str) -> int:
    """The number of images in a shard of a run with these attacks.

    Args:
        attacks: all attacks of the run.
        bytes_an_image: the bytes that autograd saves for one image in one pass.
        device_type: ``cpu`` or ``cuda``.
    """
    queries = BYTES_A_SHARD[device_type] // bytes_an_image
    return max(1, min(MAX_IMAGES_A_SHARD[device_type], queries // max(attack.most_queries for attack in attacks)))


def finite_or_none(values: Tensor) -> list[float | None]:
    """The numbers as JSON can hold them: NaN and infinity become None."""
    return [value if math.isfinite(value) else None for value in values.tolist()]


def or_nan(values: Sequence[float | None]) -> Tensor:
    """The numbers of a record, float64 (n,), with NaN for what is unknown."""
    return torch.tensor([math.nan if value is None else value for value in values], dtype=torch.float64)
