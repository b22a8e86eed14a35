"""``package.module:factory`` and ``FILE.py:factory``: make a model by the user's own code."""

import inspect
import json
from types import ModuleType
from typing import Any

from torch import nn

from advtool.errors import InputError, near_match
from advtool.target.opening.kinds import Reference
from advtool.target.opening.spec import ModelSpec, Opened
from advtool.target.opening.user_code import one_line
from advtool.target.opening.user_modules import digest, importable, module_of


def make(reference: Reference, spec: ModelSpec) -> Opened:
    """Import the module and call its factory with ``spec.model_args``. The factory may be a model itself.

    Raises:
        InputError: the import fails, or the factory does not exist, takes other arguments, fails, or does not return
            a module.
    """
    with importable(reference.name) as imported:
        module = module_of(reference.name)
        with one_line(f"looking up '{reference.text}' failed"):
            factory = _attribute(module, reference)
        model = factory if isinstance(factory, nn.Module) else _call(factory, reference, dict(spec.model_args))
    if isinstance(factory, nn.Module) and spec.model_args:
        raise InputError(f"--model-args: '{reference.text}' is a model already and takes no arguments")
    if not isinstance(model, nn.Module):
        what = "None" if model is None else f"an object of type {type(model).__name__}"
        raise InputError(f"'{reference.text}' gives {what}: write a factory that returns a torch.nn.Module")
    return Opened(model, sources=digest({module.__name__, *imported}, module.__name__))


def _attribute(module: ModuleType, reference: Reference) -> Any:
    found: Any = module
    for name in reference.attribute.split("."):
        if not hasattr(found, name):
            known = [known for known in dir(found) if not known.startswith("_") and callable(getattr(found, known))]
            raise InputError(f"'{reference.name}' has no '{reference.attribute}'{near_match(name, known)}")
        found = getattr(found, name)
    if not callable(found):
        raise InputError(f"'{reference.text}' is {type(found).__name__}, neither a factory nor a model")
    return found


def _call(factory: Any, reference: Reference, arguments: dict[str, Any]) -> Any:
    _check_arguments(factory, reference, arguments)
    with one_line(f"calling '{reference.text}' failed"):
        return factory(**arguments)


def _check_arguments(factory: Any, reference: Reference, arguments: dict[str, Any]) -> None:
    try:
        parameters = inspect.signature(factory).parameters
    except (TypeError, ValueError):  # functions written in C have no signature
        return
    free = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    for name in arguments:
        if name not in parameters and not free:
            known = ", ".join(parameters) or "none"
            raise InputError(f"--model-args: '{reference.text}' takes no argument '{name}' (it takes: {known})")
    needed = [
        parameter.name
        for parameter in parameters.values()
        if parameter.default is parameter.empty
        and parameter.kind not in {parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL}
        and parameter.name not in arguments
    ]
    if needed == ["self"]:
        raise InputError(f"'{reference.text}' is a method: name a function, a class or a class method")
    if needed:
        example = json.dumps(dict.fromkeys(needed, "..."))
        raise InputError(f"'{reference.text}' needs arguments: give --model-args '{example}'")
