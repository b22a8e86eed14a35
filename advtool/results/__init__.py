"""Results as typed data. Every report shows one of them."""

from advtool.results.check import Certification, Check
from advtool.results.comparison import ComparedRun, Comparison, PairedAccuracy, PairedAttack, PairedMinimum
from advtool.results.evaluation import (
    AttackResult,
    Certified,
    CleanAccuracy,
    DatasetInfo,
    EffectiveRobustness,
    Evaluation,
    Finding,
    ModelCalls,
    WorstCase,
)
from advtool.results.outcomes import CERTIFIED, CLEAN, Outcome, Outcomes
from advtool.results.record import Interval
from advtool.results.reproduction import (
    Column,
    Estimate,
    Figure,
    Panel,
    Point,
    Provenance,
    Reproduced,
    Reused,
    Row,
    Series,
    Unit,
    Verdict,
)
from advtool.results.score import RescoredAttack, Score
from advtool.results.seeds import AttackSpread, SeedsEvaluation, SeedsSummary, Spread
from advtool.results.sweep import EotCurve, EotSweep, EpsCurve, EpsSweep, PairedChange, Sweep, SweepPoint

__all__ = [
    "CERTIFIED",
    "CLEAN",
    "AttackResult",
    "AttackSpread",
    "Certification",
    "Certified",
    "Check",
    "CleanAccuracy",
    "Column",
    "ComparedRun",
    "Comparison",
    "DatasetInfo",
    "EffectiveRobustness",
    "EotCurve",
    "EotSweep",
    "EpsCurve",
    "EpsSweep",
    "Estimate",
    "Evaluation",
    "Figure",
    "Finding",
    "Interval",
    "ModelCalls",
    "Outcome",
    "Outcomes",
    "PairedAccuracy",
    "PairedAttack",
    "PairedChange",
    "PairedMinimum",
    "Panel",
    "Point",
    "Provenance",
    "Reproduced",
    "RescoredAttack",
    "Reused",
    "Row",
    "Score",
    "SeedsEvaluation",
    "SeedsSummary",
    "Series",
    "Spread",
    "Sweep",
    "SweepPoint",
    "Unit",
    "Verdict",
    "WorstCase",
]
