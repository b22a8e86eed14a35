"""A file that says which output of a model stands for which class: ``--classes FILE``."""

import json
from pathlib import Path
from typing import Any

from advtool import arguments, documents
from advtool.errors import InputError, reason
from advtool.files import read_any

_MOST_OUTPUTS = 65_536  # a larger number is an error in the file
_LAYOUT = 'give text, one name a line in the order of the outputs, or JSON {"name": output}'


def read_classes(path: Path) -> dict[str, int]:
    """The output of each class name.

    Args:
        path: a text with one name a line, in the order of the model's outputs. Blank lines at its end do not count; a
            blank line elsewhere is refused, because it would shift the names after it. Or JSON ``{"name": output}``, if
            the name ends in ``.json`` or the text begins with a brace; it may leave outputs out.

    Raises:
        InputError: there is no such file, it is neither of the two, a name or output occurs twice, or an output is no
            integer of at least 0.
    """
    arguments.encodable("--classes", str(path))
    try:
        text = read_any(path, documents.MOST_BYTES).decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise InputError(f"cannot read the classes in '{path}' ({reason}): {_LAYOUT}") from None
    is_json = path.suffix.lower() == ".json" or text.lstrip().startswith("{")
    outputs = _from_json(text, path) if is_json else _from_lines(text, path)
    if not outputs:
        raise InputError(f"'{path}' names no class: {_LAYOUT}")
    return outputs


def _from_lines(text: str, path: Path) -> dict[str, int]:
    outputs: dict[str, int] = {}
    for number, line in enumerate(text.rstrip().split("\n") if text.strip() else []):
        name = line.strip()
        if not name:
            raise InputError(f"line {number + 1} of '{path}' is blank: every output needs a name")
        if name in outputs:
            raise InputError(f"'{path}' names '{name}' twice, in lines {outputs[name] + 1} and {number + 1}")
        outputs[name] = number
    if len(outputs) > _MOST_OUTPUTS:
        raise InputError(f"'{path}' has {len(outputs)} lines: more than {_MOST_OUTPUTS} classes are not supported")
    return outputs


def _from_json(text: str, path: Path) -> dict[str, int]:
    try:
        pairs = documents.parse(text, object_pairs_hook=list)
    except ValueError as error:
        raise InputError(f"'{path}' is no JSON ({reason(error)}): {_LAYOUT}") from None
    if not isinstance(pairs, list) or not all(isinstance(pair, tuple) for pair in pairs):
        raise InputError(f"'{path}' holds no JSON object: {_LAYOUT}")
    outputs: dict[str, int] = {}
    names: dict[int, str] = {}
    for name, output in pairs:
        _check(name, output, path)
        if name in outputs:
            raise InputError(f"'{path}' names '{name}' twice")
        if output in names:
            raise InputError(f"'{path}' gives output {output} to '{names[output]}' and to '{name}': one name an output")
        outputs[name], names[output] = output, name
    return outputs


def _check(name: str, output: Any, path: Path) -> None:
    if isinstance(output, bool) or not isinstance(output, int) or not 0 <= output < _MOST_OUTPUTS:
        shown = json.dumps(output)
        shown = shown if len(shown) <= 40 else shown[:37] + "..."
        raise InputError(
            f"'{path}' gives '{name}' the output {shown}: it must be an integer from 0 to {_MOST_OUTPUTS - 1}"
        )
