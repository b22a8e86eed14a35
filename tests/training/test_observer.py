"""Several observers are told what one is told."""

from inspect import getmembers, isfunction, signature
from typing import Any

import pytest

from advtool.training import Observer, Observers

METHODS = [name for name, _ in getmembers(Observer, isfunction)]


class Listening(Observer):
    """Notes what it is told."""

    def __init__(self, told: list[Any]) -> None:
        self._told = told

    def __getattribute__(self, name: str) -> Any:
        if name in METHODS:
            return lambda *args, **named: self._told.append((self, name, args, named))
        return super().__getattribute__(name)


@pytest.mark.parametrize("name", METHODS)
def test_every_observer_is_told_everything_in_turn(name: str) -> None:
    told: list[Any] = []
    one, another = Listening(told), Listening(told)
    getattr(Observers(one, another), name)("what", kept=True)
    assert told == [(each, name, ("what",), {"kept": True}) for each in (one, another)]
    assert signature(getattr(Observers, name)) == signature(getattr(Observer, name))
