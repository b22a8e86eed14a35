"""What a result must meet. ``advtool eval`` and :func:`advtool.assert_robust` ask the same judge.

This file imports nothing heavy, so that ``--help`` is instant.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, get_args

from advtool import arguments
from advtool.arguments import shown
from advtool.errors import InputError
from advtool.settings import About, checked, settings_of

if TYPE_CHECKING:
    from advtool.results import Evaluation


@dataclass(frozen=True, kw_only=True)
class Gates:
    """What a result must meet.

    Args:
        at_least: the least that the worst case may be, in [0, 1]; None asks nothing.
        fail_under_interval: judge the lower end of the worst case's interval, not the worst case itself.
        fail_on_warning: the kinds of warnings that there may not be.
        as_options: messages name the options of ``advtool eval``, not the keywords of Python.

    Raises:
        InputError: a value is wrong, or the interval is to be judged against nothing.
    """

    at_least: Annotated[
        float | None,
        About("Exit with 1 if the worst case is below X.", option="--fail-under", metavar="X", check=arguments.share),
    ] = None
    fail_under_interval: Annotated[
        bool, About("Let --fail-under judge the lower end of the worst case's 95 % interval.")
    ] = False
    fail_on_warning: Annotated[
        tuple[str, ...],
        About(
            "Exit with 1 at a warning of this kind: masking, strength or setup. Repeat the option for more.",
            metavar="KIND",
        ),
    ] = ()
    as_options: bool = False

    def __post_init__(self) -> None:
        given = {name: getattr(self, name) for name in settings_of(Gates)}
        for name, value in checked(Gates, given, self._label).items():
            object.__setattr__(self, name, value)
        if self.fail_under_interval and self.at_least is None:
            interval, least = self._name("fail_under_interval"), self._name("at_least")
            raise InputError(f"{interval} says what {least} judges: give {least} too")
        if self.fail_on_warning:
            from advtool.results.evaluation import FindingKind  # noqa: PLC0415 - it is heavy

            for kind in self.fail_on_warning:
                arguments.choice(self._label("fail_on_warning", kind), kind, get_args(FindingKind))

    def failures(self, evaluations: Sequence[Evaluation]) -> list[str]:
        """What fails, a line for each gate; nothing if the result meets all.

        Args:
            evaluations: one, or one for each seed. Each must meet every gate.
        """
        return [*self._too_low(evaluations), *self._warned(evaluations)]

    def notes(self, evaluations: Sequence[Evaluation]) -> list[str]:
        """What a gate that passes does not show, a line for each; nothing if it shows what it was asked.

        Args:
            evaluations: as for :meth:`failures`.
        """
        looked = all(each.diagnostics is not None for each in evaluations)
        if "masking" not in self.fail_on_warning or looked or any(_codes(each, "masking") for each in evaluations):
            return []
        asked = self._asked("fail_on_warning", "masking")
        audit = "--attack audit" if self.as_options else "attacks='audit'"
        return [f"{asked}: no warning, but only a cascade such as {audit} looks for all masking"]

    def _too_low(self, evaluations: Sequence[Evaluation]) -> Iterator[str]:
        if self.at_least is None:
            return
        weakest = min(evaluations, key=self._judged)
        if (judged := self._judged(weakest)) < self.at_least:
            figure = "lower end of the worst case's interval" if self.fail_under_interval else "worst case"
            which = f"the {figure}" if len(evaluations) == 1 else f"the lowest {figure}"
            written = f"{judged:.4f}" if float(f"{judged:.4f}") < self.at_least else repr(judged)
            limit = self._asked("at_least", f"{self.at_least:g}")
            yield f"{which}, {written}{_of_seeds(evaluations, [weakest])}, is below {limit}"

    def _judged(self, evaluation: Evaluation) -> float:
        worst_case = evaluation.worst_case
        return worst_case.interval[0] if self.fail_under_interval else worst_case.accuracy

    def _warned(self, evaluations: Sequence[Evaluation]) -> Iterator[str]:
        for kind in dict.fromkeys(self.fail_on_warning):
            met: dict[str, list[Evaluation]] = {}
            for each in evaluations:
                for code in _codes(each, kind):
                    met.setdefault(code, []).append(each)
            if met:
                codes = ", ".join(f"{code}{_of_seeds(evaluations, those)}" for code, those in met.items())
                yield f"{self._asked('fail_on_warning', kind)}: the run warns of {codes}"

    def _name(self, setting: str) -> str:
        return settings_of(Gates)[setting].option if self.as_options else setting

    def _asked(self, setting: str, value: str) -> str:
        return f"{self._name(setting)}{' ' if self.as_options else '='}{value}"

    def _label(self, setting: str, value: Any) -> str:
        """How a message begins that refuses a value."""
        return self._asked(setting, shown(value)) + (": it" if self.as_options else "")


def _codes(evaluation: Evaluation, kind: str) -> list[str]:
    """The codes of a kind that a run warns of, each once."""
    return list(dict.fromkeys(finding.code for finding in evaluation.warnings if finding.kind == kind))


def _of_seeds(evaluations: Sequence[Evaluation], those: Sequence[Evaluation]) -> str:
    """With which seeds something was so; empty if there is only one."""
    if len(evaluations) == 1:
        return ""
    return f" with seed{'s' * (len(those) > 1)} {', '.join(str(each.seed) for each in those)}"
