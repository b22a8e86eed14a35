"""Commands about the model and the images of a result, as far as the result knows them."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from advtool.evaluation.origin import model_options
from advtool.evaluation.settings import Settings
from advtool.results import Evaluation, notation
from advtool.settings import settings_of

SURROGATE = "SURROGATE"
"""Stands for the user's other model, which no result knows."""


class Commands:
    """Writes commands: for the command line, or in Python if the model was given there.

    ``--data-dir`` is not in a result; it is the user's own, as ``ADVTOOL_DATA``.
    """

    def __init__(self, result: Evaluation) -> None:
        self._result = result
        self._in_python = result.model.get("spec") is None

    def evaluate(
        self, *attacks: str, surrogate: bool = False, images: int | None = None, insist: Sequence[str] = ()
    ) -> str:
        """The evaluation of the same model and images by these attacks.

        Args:
            attacks: attacks or suites, without spaces.
            surrogate: ask for a surrogate, whose name the user puts in.
            images: at most so many; None takes the run's.
            insist: names of settings to turn on, as ``certify``, which a suite else turns on where it sees fit.
        """
        count = min(self._result.dataset.images, images or self._result.dataset.images)
        if self._in_python:
            words = [f"eps={_eps(self._result.threat_model.eps)}", f"attacks={list(attacks)!r}"]
            words += [f"limit={count}"] if count < self._result.dataset.images else []
            words += [f"{setting}=True" for setting in insist]
            words += [f"surrogate={SURROGATE}"] if surrogate else []
            return f"advtool.evaluate({', '.join(['model, images, labels', *words, *self._draws_in_python()])})"
        words = [*self._subject(count), "--eps", _eps(self._result.threat_model.eps), *_repeated("--attack", attacks)]
        words += [f"--{setting}" for setting in insist]
        words += ["--surrogate", SURROGATE] if surrogate else []
        return shlex.join(["advtool", "eval", *words, *self._draws()])

    def again(self, asked: Mapping[str, Any], *, surrogate: bool = False) -> str:
        """The evaluation that gave the result.

        Args:
            asked: the settings that it was given, by name.
            surrogate: it had a surrogate, whose name the user puts in.
        """
        if self._in_python:
            given = [f"{name}={_eps(value) if name == 'eps' else repr(value)}" for name, value in asked.items()]
            given += [f"surrogate={SURROGATE}"] if surrogate else []
            return f"advtool.evaluate({', '.join(['model, images, labels', *given])})"
        words = [*self._subject(self._result.dataset.images), "--eps", _eps(self._result.threat_model.eps)]
        for name, value in asked.items():
            words += [] if name == "eps" else _option(settings_of(Settings)[name].option, value)
        words += ["--surrogate", SURROGATE] if surrogate else []
        return shlex.join(["advtool", "eval", *words])

    def sweep_eps(self) -> str:
        """The curve of accuracy against eps, from clean images to the whole range."""
        eps = self._result.threat_model.eps
        radii = sorted(radius for radius in {0.0, eps / 2, eps, 2 * eps, 4 * eps, 0.5, 1.0} if radius <= 1)
        if self._in_python:
            words = ["model, images, labels", f"eps=[{', '.join(map(_eps, radii))}]", *self._draws_in_python()]
            return f"advtool.sweep_eps({', '.join(words)})"
        words = [*self._subject(self._result.dataset.images), "--eps", ",".join(map(_eps, radii))]
        return shlex.join(["advtool", "sweep", "eps", *words, *self._draws()])

    def _subject(self, images: int) -> Iterator[str]:
        """The options that name the model and the images."""
        for name, value in model_options(self._result).items():
            yield from (value,) if name == "model" else (f"--{name}", value)
        data = self._result.dataset
        yield from ("--dataset", data.path or data.name)
        yield from ("--classes", data.classes_file) if data.classes_file else ()
        yield from ("--input-size", data.input_size) if data.input_size else ()
        yield from ("--images", str(images))

    def _draws(self) -> Iterator[str]:
        """The options of the seed, and of the draws for a random model."""
        for name, value in self._settings():
            yield from (f"--{name}", str(value))

    def _draws_in_python(self) -> Iterator[str]:
        return (f"{name}={value}" for name, value in self._settings())

    def _settings(self) -> Iterator[tuple[str, Any]]:
        yield "seed", self._result.seed
        if min(self._result.eot, self._result.votes) > 1:  # a random model that was asked with one draw needs more
            yield "eot", self._result.eot
            yield "votes", self._result.votes


def _option(name: str, value: Any) -> list[str]:
    if isinstance(value, bool):
        return [name if value else name.replace("--", "--no-", 1)]
    return _repeated(name, value) if isinstance(value, list | tuple) else [name, str(value)]


def _repeated(option: str, values: Sequence[str]) -> list[str]:
    return [word for value in values for word in (option, value)]


def _eps(radius: float) -> str:
    """The radius to the last bit, as 8/255 where that is what it is."""
    written = notation.eps(radius)
    if "/" in written:
        levels = int(written.partition("/")[0])
        return written if levels / 255 == radius else repr(radius)
    return written if float(written) == radius else repr(radius)
