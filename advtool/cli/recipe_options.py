"""The options that choose and change a recipe, shared by the commands that train."""

from typing import Annotated, Any

import typer

from advtool.cli.gathering import options_of
from advtool.settings import settings_of
from advtool.training.recipes import RECIPES, default_words, special_settings, takers
from advtool.training.settings import Settings

_RECIPE = typer.Argument(
    metavar="RECIPE",
    autocompletion=lambda: list(RECIPES),
    help="\n\n".join(f"[bold]{recipe.name}[/]: {recipe.summary}" for recipe in RECIPES.values()),
)
Recipe = Annotated[str, _RECIPE]
AnyRecipe = Annotated[str | None, _RECIPE]
"""It may be left out."""


def asked(**given: Any) -> dict[str, Any]:
    """The settings as training takes them: None where an option was not given."""
    return {name: None if value is False else value for name, value in given.items()}


def _panels() -> dict[str, str]:
    """The headings, with the recipes that take an option below them if not every recipe does."""
    panels: dict[str, list[str]] = {}
    for setting in settings_of(Settings).values():
        if setting.about.panel is not None:
            panels.setdefault(setting.about.panel, []).append(setting.name)
    return {panel: f"{panel}: {_takers(names)}" for panel, names in panels.items() if set(names) <= special_settings()}


def _takers(settings: list[str]) -> str:
    taking = {recipe.name for setting in settings for recipe in takers(setting)}
    return ", ".join(name for name in RECIPES if name in taking)


SETTINGS = options_of(
    Settings,
    optional=True,
    defaults={name: words for name in settings_of(Settings) if (words := default_words(name)) is not None},
    panels=_panels(),
)
"""The option of every setting."""
