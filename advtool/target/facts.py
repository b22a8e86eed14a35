"""What is found out about a model before it is attacked. It is asked once and stored with the run."""

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, PositiveInt

from advtool.compute import Precision

ImageType = Literal["float64", "float16", "bfloat16"]
"""Types of images, other than float32, that a model may need."""


class Randomness(StrEnum):
    """How a model's outputs vary between identical calls."""

    none = "none"
    """they do not vary"""
    each_image = "each image"
    """the model draws noise for each image"""
    each_call = "each call"
    """the model draws noise once a call, the same for all images of the batch"""


class Autograd(StrEnum):
    """How to ask for a model's gradient."""

    grad = "grad"
    """by ``torch.autograd.grad``"""
    backward = "backward"
    """by ``backward()``, which reentrant checkpointing needs"""
    none = "none"
    """not at all: every gradient is zero, and attacks without gradients still work"""


class Needs(BaseModel):
    """What a model needs at every call. :class:`advtool.target.adapting.Adapted` gives it to the model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    own_input: bool = False
    """the model gets a copy of the images, because it works in place on its input"""
    dtype: ImageType | None = None
    """the model gets images of this type, because its weights are of this type; None: float32"""
    companions: bool = False
    """a single image gets a second one beside it, because the model does not take a batch of one"""
    unwrapping: bool = False
    """the logits are only a part of the model's answer, have more axes than two, are of another type than float32, or
    lie on another device than the images"""
    single: Literal["logit", "probability"] | None = None
    """the model gives one number for each image, which is about class 1 of two classes"""
    finite: bool = False
    """the model gives minus infinity to classes that it rules out; finite numbers replace it"""
    rewinding: bool = False
    """the model's state is put back before each call, because calls change it and answers depend on it"""
    with_gradients: bool = False
    """autograd is on at every call, for parameters too, because the model differentiates or puts hooks on the graph"""
    no_cudnn: bool = False
    """cuDNN is off for gradients, because it refuses those of recurrent layers in eval mode"""


class Facts(BaseModel):
    """Facts about a model, found by asking it about a few images."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    classes: PositiveInt
    """number of classes"""
    logits_from: str | None = None
    """which of several tensors in the model's answer counts as the logits; None if there was no choice"""
    randomness: Randomness
    """whether the model draws noise, and whether for each image or once a call"""
    autograd: Autograd
    """how to ask for the gradient"""
    no_gradient_because: str | None
    """why autograd gives no gradient: an error in one line, or that the graph is cut; None if it gives one"""
    needs: Needs
    """what the model needs at every call"""
    moving: list[str]
    """names of the buffers and attributes that a call changes"""
    bytes_an_image: PositiveInt
    """bytes that autograd keeps for each image between the forward and the backward pass"""
    train_mode: bool
    """some modules were in train mode when the user handed the model over"""
    batch_dependent: bool
    """the answer for an image (the mean answer of a random model) depends on the rest of the batch, or on its place"""
    probabilities: bool
    """the outputs are at least 0 and sum to 1, or they fill [0, 1]"""
    differentiates: bool
    """the model computes a gradient in its forward pass"""
    search_precision: Precision = "float32"
    """precision in which attacks search"""
