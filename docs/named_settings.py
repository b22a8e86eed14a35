"""The API page shows a function as ``help`` shows it: its settings are named by a decorator, when it is imported."""

import inspect
import re
from importlib import import_module
from typing import Any

from griffe import Extension, Function, Kind, Object, Parameter, ParameterKind, Parameters

ROLE = re.compile(r":\w+:`~?([\w.]+)`")
REFERENCE = r'<autoref identifier="\1" optional><code>\1</code></autoref>'
LITERAL = re.compile(r"^::$|(:):$", re.MULTILINE)
SETTINGS = re.compile(r"^    settings: [^\n]*$(.*)\n\nSettings:\n(.*)", re.MULTILINE | re.DOTALL)


class NamedSettings(Extension):
    """Put what ``with_settings`` adds in the place of ``**settings``, and link what docstrings name."""

    def on_function(self, *, func: Function, **_: Any) -> None:
        """Take signature and docstring from the imported function."""
        if func.docstring is None or not any("with_settings(" in str(one.value) for one in func.decorators):
            return
        real = getattr(import_module(func.module.path), func.name)
        func.docstring.value = _markdown(SETTINGS.sub(r"\2\1", inspect.getdoc(real) or ""))
        written = {one.name: one for one in func.parameters}
        signature = inspect.signature(real).parameters.values()
        func.parameters = Parameters(*(written.get(one.name) or _parameter(one) for one in signature))

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Sphinx's roles become links where the page has the object, else code. Its literal blocks become code too."""
        if obj.docstring is not None and obj.kind is not Kind.ALIAS:
            obj.docstring.value = _markdown(obj.docstring.value)


def _markdown(text: str) -> str:
    return ROLE.sub(REFERENCE, LITERAL.sub(r"\1", text))


def _parameter(setting: inspect.Parameter) -> Parameter:
    kind = inspect.formatannotation(setting.annotation).replace("typing.", "")
    default = "8 / 255" if setting.default == 8 / 255 else repr(setting.default)
    return Parameter(setting.name, annotation=kind, kind=ParameterKind.keyword_only, default=default)
