"""The ledger of a run: its outcomes, filled shard by shard, and what every stage has cost so far."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch

from advtool.evaluation.shard import FIELDS, ShardRecord, or_nan
from advtool.results import CLEAN, ModelCalls, Outcomes


@dataclass
class Cost:
    """What a stage has cost on all finished shards together."""

    seconds: float = 0.0
    model_calls: ModelCalls = ModelCalls(forward=0, backward=0)


class Ledger:
    """Takes in finished shards. Until then, the outcome of an image is *not asked*.

    Args:
        stages: the labels of the stages in their order, without the clean stage.
        images: N, the number of images in the run.
        one_step: the labels of the attacks that make an example of every image.
        probes: the labels of the stages at another eps than the run's.
    """

    def __init__(
        self, stages: Sequence[str], images: int, *, one_step: Collection[str] = (), probes: Collection[str] = ()
    ) -> None:
        labels = (CLEAN, *stages)
        shape = (len(labels), images)
        self.outcomes = Outcomes(
            stages=labels,
            outcome=torch.zeros(shape, dtype=torch.uint8),
            prediction=torch.full(shape, -1),
            margin=torch.full(shape, math.nan, dtype=torch.float64),
            step=torch.full(shape, -1),
            queries=torch.zeros(shape, dtype=torch.long),
            distance=torch.full(shape, math.nan, dtype=torch.float64),
            on_examples={label: torch.zeros(images, dtype=torch.bool) for label in labels if label in one_step},
            probes=frozenset(probes),
        )
        self.draws_right = torch.zeros(shape, dtype=torch.long)
        """of a random model, how many single draws classify the candidate right, int64 (S, N); counted where the margin
        is lower than at all earlier candidates"""
        self.fields_held = torch.zeros(images, FIELDS, dtype=torch.bool)
        """in which fields of known noise each image held"""
        self.costs = {label: Cost() for label in labels}
        self.given_up = dict.fromkeys(labels, 0)
        """how many images each stage gave up early, by its label; they stand"""
        self.late = torch.zeros(images, dtype=torch.bool)
        """the images that the last round of a search took although the search could have gone on, bool (N,)"""
        self.methods: list[str] = []
        """the bounds that proved images robust, each once"""
        self.found_by: dict[str, int] = {}
        """how many planted examples each attack found, by its label"""
        self.unplantable: list[str] = []
        """for how many images nothing could be planted, and why"""

    def enter(self, position: int, first: int, record: ShardRecord) -> None:
        """Take in a finished shard.

        Args:
            position: the place of the stage in the run; 0 is the clean stage.
            first: the place of the shard's first image in the run.
            record: what the stage found out about the shard.
        """
        rows = slice(first, first + len(record.outcome))
        outcomes = self.outcomes
        outcomes.outcome[position, rows] = torch.tensor(record.outcome, dtype=torch.uint8)
        outcomes.prediction[position, rows] = torch.tensor(record.prediction)
        outcomes.margin[position, rows] = or_nan(record.margin)
        outcomes.step[position, rows] = torch.tensor([-1 if step is None else step for step in record.step])
        outcomes.queries[position, rows] = torch.tensor(record.queries)
        if record.distance is not None:
            outcomes.distance[position, rows] = or_nan(record.distance)
        if record.example_correct is not None and record.stage in outcomes.on_examples:
            outcomes.on_examples[record.stage][rows] = torch.tensor(record.example_correct)
        if record.draws_right is not None:
            self.draws_right[position, rows] = torch.tensor(record.draws_right)
        if record.fields_held is not None:
            self.fields_held[rows] = torch.tensor(record.fields_held)
        for place in record.late or ():
            self.late[first + place] = True
        if record.method is not None and record.method not in self.methods:
            self.methods.append(record.method)
        self.given_up[record.stage] += record.given_up
        for label, count in (record.found_by or {}).items():
            self.found_by[label] = self.found_by.get(label, 0) + count
        if record.unplantable is not None:
            self.unplantable.append(record.unplantable)
        cost = self.costs[record.stage]
        cost.seconds += record.seconds
        cost.model_calls += record.model_calls
