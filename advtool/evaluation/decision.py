"""The decision whether a run proves images robust, as its manifest keeps it."""

from pydantic import BaseModel, ConfigDict


class Decision(BaseModel):
    """Whether a run proves images robust. It is made once and kept with the run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    passes: float | None = None
    """about what the bounds of an image cost, in forward passes; None if the model has none"""
    reason: str | None = None
    """why the run does without proofs; None: it has them"""
