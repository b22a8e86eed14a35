"""The options that choose and change a recipe, shared by the commands that train."""

from collections import Counter
from typing import Annotated, Any

import typer

from advtool.cli.gathering import options_of
from advtool.settings import settings_of
from advtool.training.recipes import FOR_DATASET, FOR_OPTIMIZER, RECIPES, special_settings, takers
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


def default_words(setting: str) -> str | None:
    """A setting's default in words: the most common one, then the recipes and the data sets that have another.

    For example ``cnn; lenet for clean, adv, both, apb; resnet11 for cifar10``. None if no recipe has a value.
    """
    values = {recipe.name: getattr(recipe, setting) for recipe in takers(setting)}
    by_recipe = Counter(values.values()).most_common()
    usual = by_recipe[0][0]
    if usual is None or isinstance(usual, bool | tuple):
        return None
    words = [_value(usual)]
    for value, _ in by_recipe[1:]:
        words.append(f"{_value(value)} for {', '.join(name for name, own in values.items() if own == value)}")
    words += [f"{_value(own[setting])} for {name}" for name, own in FOR_DATASET.items() if setting in own]
    words += [f"{_value(own[setting])} with {name}" for name, own in FOR_OPTIMIZER.items() if setting in own]
    words += [
        f"{_value(own[setting])} for {recipe.name} on {name}"
        for recipe in takers(setting)
        for name, own in recipe.for_dataset.items()
        if setting in own
    ]
    return "; ".join(words)


def _value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


SETTINGS = options_of(
    Settings,
    optional=True,
    defaults={name: words for name in settings_of(Settings) if (words := default_words(name)) is not None},
    panels=_panels(),
)
"""The option of every setting."""
