"""The parameters of attacks: declared once, with a default and a check that names the attack and the parameter."""

import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from advtool import arguments
from advtool.arguments import LARGEST_COUNT, LARGEST_NUMBER, SMALLEST_NUMBER, shown
from advtool.errors import InputError

V = TypeVar("V")


@dataclass(frozen=True)
class Check(Generic[V]):
    """What a value must be.

    Args:
        read: takes the names of the attack and the parameter and a value; gives the value as it must be, or
            ``InputError``.
        words: what it must be, for people.
    """

    read: Callable[[str, str, Any], V]
    words: str

    def __call__(self, attack: str, name: str, value: Any) -> V:
        return self.read(attack, name, value)


def must_be(words: str) -> Callable[[Callable[[str, str, Any], V]], Check[V]]:
    """Make a :class:`Check` of a function."""
    return lambda read: Check(read, words)


class Parameter(Generic[V]):
    """A parameter of an attack, as an attribute of its class. Whatever is assigned to it is checked.

    Args:
        check: what the value must be, e.g. :func:`positive_integer`.
        default: the value if none is given.
        derive: computes the value from the attack where it is None, which is then the default.
        derived: what ``derive`` computes, in words.
    """

    def __init__(
        self, check: Check[V], default: Any = None, *, derive: Callable[[Any], Any] | None = None, derived: str = ""
    ) -> None:
        self.check, self.default, self.derive, self.derived = check, default, derive, derived

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, attack: Any, owner: type) -> V:
        """The value; of the class itself the default."""
        if attack is None:
            default: V = self.default
            return default
        value: V = vars(attack)[self.name]
        if value is None and self.derive is not None:
            value = self.derive(attack)
        return value

    def __set__(self, attack: Any, value: Any) -> None:
        derived = value is None and self.derive is not None
        vars(attack)[self.name] = None if derived else self.check(attack.name, self.name, value)


def signature(function: Callable[..., Any], declared: Mapping[str, Parameter[Any]]) -> inspect.Signature:
    """The signature of a class whose ``__init__`` is ``function``, with ``declared`` parameters instead of ``**``."""
    _, *given = inspect.signature(function).parameters.values()
    own = [each for each in given if each.kind is not inspect.Parameter.VAR_KEYWORD]
    if len(own) < len(given):
        kind = inspect.Parameter.KEYWORD_ONLY
        own += [inspect.Parameter(name, kind, default=each.default) for name, each in declared.items()]
    return inspect.Signature(own)


@must_be("an integer of at least 1")
def positive_integer(attack: str, name: str, value: Any) -> int:
    """The value, if it is an integer from 1 to a million; NumPy's comes out as Python's.

    Raises:
        InputError: it is not.
    """
    return arguments.count(_label(attack, name, value), value)


@must_be("a number above 0")
def positive_number(attack: str, name: str, value: Any) -> float:
    """The value, if it is a number above 0 that float32 can hold; NumPy's comes out as Python's.

    Raises:
        InputError: it is not.
    """
    number = arguments.number(value)
    if number is None or number <= 0:
        raise InputError(f"{_label(attack, name, value)} must be a number above 0")
    if not SMALLEST_NUMBER <= number <= LARGEST_NUMBER:
        raise InputError(f"{_label(attack, name, value)} must lie between {SMALLEST_NUMBER:g} and {LARGEST_NUMBER:g}")
    return number


@must_be("a number of at least 1")
def factor(attack: str, name: str, value: Any) -> float:
    """The value, if it is a number of at least 1.

    Raises:
        InputError: it is not.
    """
    return arguments.factor(_label(attack, name, value), value)


@must_be("a number in (0, 1]")
def share(attack: str, name: str, value: Any) -> float:
    """The value, if it is a number in (0, 1].

    Raises:
        InputError: it is not.
    """
    number = arguments.number(value)
    if number is None or not 0 < number <= 1:
        raise InputError(f"{_label(attack, name, value)} must be a number in (0, 1]")
    return number


def or_none(check: Check[V]) -> Check[V | None]:
    """The same check, but None passes."""
    return Check(
        lambda attack, name, value: None if value is None else check(attack, name, value), f"{check.words}, or None"
    )


def one_of(known: Iterable[str]) -> Check[str]:
    """A check that the value is one of the ``known`` names."""
    names = list(known)
    return Check(
        lambda attack, name, value: arguments.choice(_label(attack, name, value), value, names),
        f"one of {', '.join(map(repr, names))}",
    )


def plain(attack: str, name: str, value: Any) -> Any:
    """A parameter of an attack that is not ours, as JSON knows it, with numbers of a sane size.

    Raises:
        InputError: it holds something else than None, booleans, numbers, text, lists, tuples and dicts of these.
    """
    label = _label(attack, name, value)
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, list | tuple):
        items = [plain(attack, name, item) for item in value]
        return items if isinstance(value, list) else tuple(items)
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: plain(attack, name, item) for key, item in value.items()}
    number = arguments.number(value)
    if number is None or not math.fabs(number) <= LARGEST_COUNT:
        raise InputError(
            f"{label} must be None, a boolean, text, a number from -{LARGEST_COUNT} to {LARGEST_COUNT}, "
            "or a list of these"
        )
    whole = arguments.integer(value)
    return number if whole is None else whole


def _label(attack: str, name: str, value: Any) -> str:
    return f"{attack}: {name}={shown(value)}"
