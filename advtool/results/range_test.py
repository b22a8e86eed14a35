"""A learning-rate range test: the document ``advtool.lr-range/1``."""

from typing import Literal

from pydantic import Field

from advtool.results.record import Document


class RangeTest(Document):
    """The curve of a range test, and the two bounds that it proposes."""

    schema_name: Literal["advtool.lr-range/1"] = Field(default="advtool.lr-range/1", alias="schema")
    rates: list[float]
    """the learning rate of every step; each step multiplies it by the same factor"""
    losses: list[float]
    """the training loss of every step (mean cross entropy in nats), before the step changes the weights"""
    smoothed: list[float]
    """the mean loss of a window around every step"""
    base_learning_rate: float
    """the lower bound: here the loss begins to fall"""
    learning_rate: float
    """the upper bound: here the loss has almost stopped falling"""
    schedule: str
    """of the recipe; a constant learning rate uses the upper bound alone"""
