"""What is known of a model before it is attacked: asked once, kept with the run."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from advtool.target.target import Autograd, Randomness


class Needs(BaseModel):
    """What a model needs to be asked like any other (:class:`advtool.target.adapting.Adapted`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    own_input: bool = False
    """a copy of the images: it works in place on what it is given"""
    dtype: Literal["float64", "float16", "bfloat16"] | None = None
    """images of this type, the one of its weights"""
    companions: bool = False
    """a second image: it does not take a batch of one"""
    unwrapping: bool = False
    """its logits are part of an answer, have more axes, or are another type than float32"""
    single: Literal["logit", "probability"] | None = None
    """it gives one number an image, of class 1 of two"""
    finite: bool = False
    """it rules classes out by minus infinity"""
    rewinding: bool = False
    """its answers depend on state that its own calls move: it is asked from the same state each time"""
    with_gradients: bool = False
    """gradients on whenever it is asked, of its parameters too: it takes some itself, or hooks on to the graph"""
    no_cudnn: bool = False
    """cuDNN refuses the gradient of recurrent layers in eval mode"""


class Facts(BaseModel):
    """Facts about a model, found by asking it about a few images."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    classes: int
    randomness: Randomness
    autograd: Autograd
    no_gradient_because: str | None
    """why autograd gives none: the error's first line, or that the graph is cut"""
    needs: Needs
    moving: list[str]
    """buffers and attributes that a call changes"""
    bytes_an_image: int
    """what autograd keeps of an image for the backward pass"""
    train_mode: bool
    """it was handed over with modules in train mode"""
    batch_dependent: bool
    """the answer for an image depends on its place in the batch, or on the other images; of a random model, its mean"""
    probabilities: bool
    """its outputs are not below 0 and sum to 1"""
    differentiates: bool
    """it computes a gradient inside its forward pass"""
    search_precision: Literal["float32", "bfloat16", "auto"] = "float32"
    """of the form in which attacks search it"""
