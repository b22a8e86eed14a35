"""``advtool.assert_robust``: robustness as a test of one's own test suite."""

import warnings
from collections.abc import Sequence
from typing import Any

from torch import nn

from advtool.errors import InputError
from advtool.evaluation.evaluator import evaluate
from advtool.gates.gates import Gates
from advtool.report import FORMATS
from advtool.results import Evaluation, SeedsEvaluation
from advtool.studies.seeds import evaluate_seeds


def assert_robust(
    model: nn.Module,
    images: Any,
    labels: Any = None,
    *,
    at_least: float | None = None,
    fail_under_interval: bool = False,
    fail_on_warning: Sequence[str] = (),
    seeds: Sequence[int] | None = None,
    **settings: Any,
) -> Evaluation | SeedsEvaluation:
    """Evaluate a model, and fail if it is not robust enough: for pytest.

    ::

        def test_robust() -> None:
            advtool.assert_robust(model, images, labels, eps=8 / 255, at_least=0.5, fail_on_warning=["masking"])

    Args:
        model: as for :func:`advtool.evaluate`.
        images: as for :func:`advtool.evaluate`.
        labels: class indices (N,); None where ``images`` brings them.
        at_least: the least that the worst case may be, in [0, 1].
        fail_under_interval: judge the lower end of the worst case's 95 % interval, not the worst case itself.
        fail_on_warning: kinds of warnings that there may not be: ``masking``, ``strength``, ``setup``.
        seeds: evaluate with each of these seeds, as :func:`advtool.evaluate_seeds` does; each must be robust enough.
        settings: every other argument of :func:`advtool.evaluate`: eps, attacks, device, run_dir, ...

    Returns:
        What was found, if it is robust enough.

    Raises:
        AssertionError: it is not. The message says what failed, and holds the table.
        InputError: nothing is asked of the model, or an argument is wrong.

    Warns:
        UserWarning: there may be no warning of masking, and no attack was a cascade, which looks for all masking.
    """
    __tracebackhide__ = True  # pytest then shows the line of the test
    asked: dict[str, Any] = {
        "at_least": at_least,
        "fail_under_interval": fail_under_interval,
        "fail_on_warning": fail_on_warning,
    }
    gates = Gates(**asked)
    if gates == Gates():
        raise InputError("assert_robust asks nothing of the model: give at_least=0.5, or fail_on_warning=['masking']")
    result: Evaluation | SeedsEvaluation
    if seeds is None:
        result = evaluate(model, images, labels, **settings)
    else:
        result = evaluate_seeds(model, images, labels, seeds=seeds, **settings)
    evaluations = result.evaluations if isinstance(result, SeedsEvaluation) else [result]
    for note in gates.notes(evaluations):
        warnings.warn(note, stacklevel=2)
    if failures := gates.failures(evaluations):
        raise AssertionError("\n".join([*failures, "", FORMATS["table"](result)]))
    return result
