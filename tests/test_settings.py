"""One dataclass gives options, signature, documentation and checks."""

import inspect
import sys
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest
import typer
from typer.testing import CliRunner

from advtool import arguments
from advtool.cli.gathering import gathering, options_of
from advtool.errors import InputError
from advtool.settings import About, checked, settings_of, with_settings


@dataclass(frozen=True, kw_only=True)
class Oven:
    heat: Annotated[float, About("Of the oven, a fraction of its range.", read=arguments.fraction)] = 0.5
    minutes: Annotated[int, About("Time in the oven.", metavar="N", least=2)] = 45
    shelf: Annotated[Literal["top", "middle"] | None, About("Where it stands.", default="as the cake wants")] = None
    fan: Annotated[bool, About("Move the air.", panel="Air")] = False
    light: Annotated[bool | None, About("Show the cake.", default="when it is dark")] = None
    toppings: Annotated[tuple[str, ...], About("What goes on top. Repeats.", metavar="NAME")] = ()
    made_by: str = "nobody"


def command(make: Any, **how: Any) -> Any:
    given: list[Any] = []

    @gathering("oven", options_of(Oven, **how), make)
    def bake(*, oven: Any) -> None:
        given.append(oven)

    app = typer.Typer()
    app.command()(bake)

    def run(*words: str) -> Any:
        done = CliRunner().invoke(app, words)
        if isinstance(done.exception, InputError):
            raise done.exception
        assert done.exit_code == 0, done.output
        return given[-1] if given else done.output

    return run


def test_options_give_the_dataclass_with_its_defaults() -> None:
    bake = command(Oven)
    assert bake() == Oven()
    asked = bake("--heat", "1/4", "--minutes", "9", "--shelf", "top", "--fan", "--toppings", "a", "--toppings", "b")
    assert asked == Oven(heat=0.25, minutes=9, shelf="top", fan=True, toppings=("a", "b"))


def test_optional_settings_tell_what_was_asked_for() -> None:
    bake = command(dict, optional=True)
    assert bake() == {"heat": None, "minutes": None, "shelf": None, "fan": False, "light": None, "toppings": None}
    assert bake("--minutes", "45")["minutes"] == 45


@pytest.mark.parametrize("optional", [True, False])
def test_a_flag_that_may_be_none_can_be_refused(optional: bool) -> None:
    bake = command(dict, optional=optional)
    given = [bake(*words)["light"] for words in ((), ("--light",), ("--no-light",))]
    assert [(value, type(value)) for value in given] == [(None, type(None)), (True, bool), (False, bool)]


@pytest.mark.parametrize("optional", [True, False])
def test_the_help_shows_help_metavar_panel_and_default(optional: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    page = " ".join(command(Oven, optional=optional, panels={"Air": "Air: of hot ovens"})("--help").split())
    for words in (
        "Time in the oven.",
        " N ",
        "0.5",
        "45",
        "(as the cake wants)",
        "(when it is dark)",
        "--no-light",
        "Air: of hot ovens",
        "top|middle",
    ):
        assert words in page
    assert "made" not in page
    assert "--no-fan" not in page


def test_the_signature_and_the_documentation_name_every_setting() -> None:
    @with_settings(Oven)
    def bake(cake: str, **settings: Any) -> None:
        """Bake."""

    shown = inspect.signature(bake)
    assert list(shown.parameters) == ["cake", "heat", "minutes", "shelf", "fan", "light", "toppings"]
    assert {name: shown.parameters[name].default for name in settings_of(Oven)} == {
        "heat": 0.5, "minutes": 45, "shelf": None, "fan": False, "light": None, "toppings": (),
    }  # fmt: skip
    assert "minutes: Time in the oven." in inspect.getdoc(bake)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"minutes": 1}, r"--minutes 1: it must be an integer of at least 2"),
        ({"minutes": 2.0}, r"--minutes 2.0: it must be an integer of at least 2"),
        ({"minutes": sys.maxsize}, r"at most 1000000"),
        ({"minutes": None}, r"--minutes None: it must be an integer"),
        ({"heat": "1/2"}, r"--heat '1/2': it must be a number"),
        ({"shelf": "tpo"}, r"must be one of top, middle \(did you mean 'top'\?\)"),
        ({"fan": 1}, r"--fan 1: it must be True or False"),
        ({"toppings": "cherry"}, r"--toppings 'cherry': it must be a list of names"),
        ({"minuets": 3}, r"unknown setting 'minuets' \(did you mean 'minutes'\?\)"),
        ({"made_by": "us"}, r"unknown setting 'made_by'"),
    ],
)
def test_wrong_values_are_named(given: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        checked(Oven, given)


def test_right_values_come_back_as_the_type_of_the_setting() -> None:
    np = pytest.importorskip("numpy")
    given = {"minutes": np.int64(7), "heat": np.float32(0.25), "toppings": ["a"], "shelf": None}
    values = checked(Oven, given)
    assert values == {"minutes": 7, "heat": 0.25, "toppings": ("a",), "shelf": None}
    assert (type(values["minutes"]), type(values["heat"])) == (int, float)
