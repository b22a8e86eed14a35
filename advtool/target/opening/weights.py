"""``--weights``: load a file of tensors into a model, through wrappers and other prefixes of the names."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from advtool.errors import InputError
from advtool.target.opening import weight_files
from advtool.target.opening.user_code import one_line

MAX_NAMES_SHOWN = 3
"""A message names at most so many tensors."""
MAX_RENAMINGS = 8
"""So many changes of a prefix are tried."""
TORCH_WRAPPERS = {"module", "_orig_mod"}
"""Names that DataParallel and torch.compile put into keys."""
EXTRA_STATE = "_extra_state"
"""The last part of the key of a module's ``get_extra_state()``."""

StateDict = dict[str, Any]


class Renaming(NamedTuple):
    """A change of prefix."""

    given: str
    """the file's keys begin with it"""
    wanted: str
    """the model's keys begin with it"""


class Reading(NamedTuple):
    """One state dict in the file, under one renaming."""

    name: str
    """the keys in the file that lead to the state dict, with dots between them"""
    state: StateDict
    """the tensors by their new names"""
    prefix: str
    """the keys of these tensors begin with it in the file"""
    without_prefix: list[str]
    """keys that lack the prefix, and so have no place in the model"""


def load_into(model: nn.Module, path: Path) -> tuple[str, ...]:
    """Load the tensors of a file into a model. Every tensor of the file must have a place in the model.

    The state dict may lie in wrappers (``{"state_dict": ...}``, two deep), and all its keys may have one prefix more or
    less than the model's. The file may lack only tensors that training does not change: counters, index tables, and
    the constants of layers without parameters.

    Args:
        model: its parameters and buffers are overwritten.
        path: safetensors, or a state dict that ``torch.load(weights_only=True)`` reads.

    Returns:
        What the user should know, one line each.

    Raises:
        InputError: the file is damaged, can run code, or does not fit the model. The model may then hold some of the
            file's tensors.
    """
    content = weight_files.read(path)
    with one_line(f"--weights '{path}': the model has no state dict"):
        expected = model.state_dict()
    readings = list(_readings(content, expected))
    if not readings:
        raise InputError(f"--weights '{path}' holds no state dict: save one with torch.save(model.state_dict(), ...)")
    best = max(readings, key=lambda reading: _fit(reading, expected))  # the first one if several fit equally
    with one_line(f"--weights '{path}' cannot be loaded"):
        _check_shapes(path, best.state, expected)
        missing, unexpected = model.load_state_dict(best.state, strict=False)
    missing = [key for key in missing if not _is_tied(key, expected, best.state)]
    constants = [key for key in missing if _is_constant(model, key, expected[key])]
    _refuse_misfits(path, best, [key for key in missing if key not in constants], list(unexpected), len(expected))
    kept = [key for key in constants if expected[key].is_floating_point()]
    return (
        *((f"--weights '{path}' lacks {_some(kept)}: as the factory made them",) if kept else ()),
        *_others_that_fit(path, best, readings, expected),
    )


def _readings(content: Any, expected: Mapping[str, Any]) -> Iterator[Reading]:
    """Every state dict in the file, under every renaming that might make it fit."""
    for name, state in _state_dicts(content, expected):
        for keys in (state, _without_wrappers(state, expected)):
            if len(keys) == len(state):  # no two keys have become equal
                yield from (_renamed(name, keys, renaming) for renaming in _renamings(keys, expected))


def _renamed(name: str, state: StateDict, renaming: Renaming) -> Reading:
    given, wanted = renaming
    renamed = {wanted + key.removeprefix(given): state[key] for key in state if key.startswith(given)}
    return Reading(name, renamed, given, [key for key in state if not key.startswith(given)])


def _state_dicts(
    content: Any, expected: Mapping[str, Any], name: str = "", depth: int = 2
) -> Iterator[tuple[str, StateDict]]:
    """The dicts of tensors in a file, with the keys that lead to them. Moving averages come last."""
    if not isinstance(content, Mapping):
        return
    named = {key: value for key, value in content.items() if isinstance(key, str)}
    if any(isinstance(value, Tensor) for value in named.values()):
        # A state dict may hold more than tensors, e.g. the packed weights of quantised layers.
        yield name, {key: named[key] for key in named if isinstance(named[key], Tensor) or key in expected}
    if depth:
        for key in sorted(named, key=lambda key: "ema" in key.lower()):
            yield from _state_dicts(named[key], expected, f"{name}.{key}".lstrip("."), depth - 1)


def _renamings(state: StateDict, expected: Mapping[str, Any]) -> list[Renaming]:
    """The renamings that give most keys the name of a tensor of the model with the same shape."""
    by_end: dict[tuple[str, Any], list[str]] = {}
    for key, tensor in expected.items():
        by_end.setdefault((key.rpartition(".")[2], _shape(tensor)), []).append(key)
    votes: Counter[Renaming] = Counter()
    for given, tensor in state.items():
        for wanted in by_end.get((given.rpartition(".")[2], _shape(tensor)), ()):
            votes[_renaming(given, wanted)] += 1
    return [Renaming("", ""), *(renaming for renaming, _ in votes.most_common(MAX_RENAMINGS))]


def _without_wrappers(state: StateDict, expected: Mapping[str, Any]) -> StateDict:
    """The state dict without the names of torch's wrappers in its keys, e.g. in ``features.module.0.weight``."""

    def bare(key: str) -> str:
        return ".".join(part for part in key.split(".") if part not in TORCH_WRAPPERS)

    names = {bare(key): key for key in expected}
    return {names.get(bare(key), bare(key)): state[key] for key in state}


def _renaming(given: str, wanted: str) -> Renaming:
    """The renaming from one key to the other: their beginnings, without the end that both share."""
    ours, theirs = given.split("."), wanted.split(".")
    while ours and theirs and ours[-1] == theirs[-1]:
        ours.pop()
        theirs.pop()
    return Renaming("".join(f"{part}." for part in ours), "".join(f"{part}." for part in theirs))


def _fit(reading: Reading, expected: Mapping[str, Any]) -> tuple[int, int]:
    """The number of tensors that fit by name and shape, and minus the number that have no place in the model."""
    state = reading.state
    fitting = sum(key in expected and _shape(state[key]) == _shape(expected[key]) for key in state)
    return fitting, -sum(key not in expected for key in state) - len(reading.without_prefix)


def _check_shapes(path: Path, state: StateDict, expected: Mapping[str, Any]) -> None:
    shapes = {key: (_shape(state[key]), _shape(expected.get(key))) for key in state}
    wrong = {key: both for key, both in shapes.items() if None not in both and both[0] != both[1]}
    if wrong:
        listed = [f"'{key}' is {given}, the model's {wanted}" for key, (given, wanted) in wrong.items()]
        shown = "; ".join([*listed[:MAX_NAMES_SHOWN], *(["..."] if len(listed) > MAX_NAMES_SHOWN else [])])
        raise InputError(
            f"--weights '{path}' does not fit the model: {len(wrong)} tensor(s) have another shape "
            f"({shown}){_other_classes(wrong)}"
        )


def _other_classes(wrong: Mapping[str, Any]) -> str:
    """Advice for the case that only the number of classes differs; "" otherwise."""
    if any(given[1:] != wanted[1:] or not given for given, wanted in wrong.values()):
        return ""
    counts = {(given[0], wanted[0]) for given, wanted in wrong.values()}
    if len(counts) != 1:
        return ""
    example = json.dumps({"num_classes": counts.pop()[0]})
    return f": if it was trained for that many classes, say so to the factory, e.g. --model-args '{example}'"


def _refuse_misfits(path: Path, reading: Reading, missing: list[str], unexpected: list[str], tensors: int) -> None:
    """Refuse a file that lacks tensors, or has tensors without a place in the model."""
    surplus = unexpected + reading.without_prefix
    if not missing and not surplus:
        return
    given, faults = len(reading.state) + len(reading.without_prefix), []
    if missing:
        faults.append(f"{len(missing)} of the model's {tensors} tensors are missing ({_some(missing)})")
    if surplus:
        faults.append(f"{len(surplus)} of the file's {given} have no place in it ({_some(surplus)})")
    advice = "" if missing else _advice(reading.prefix if not unexpected else "")
    raise InputError(f"--weights '{path}' does not fit the model: {', and '.join(faults)}{advice}")


def _advice(prefix: str) -> str:
    """What to do about a file that has more than the model needs, which lies under ``prefix`` if that is not empty.

    Nothing is left out unasked: a scale or a mean beside the network may well be part of what it computes.
    """
    advice = "; the others fit: if the surplus is no part of the network, save the file without it"
    filtered = f"{{key: state[key] for key in state if key.startswith('{prefix}')}}"
    return f"{advice}, torch.save({filtered}, FILE)" if prefix else advice


def _is_tied(key: str, expected: Mapping[str, Any], state: StateDict) -> bool:
    """Whether the file holds the tensor under another name. Safetensors saves tied weights under one name only."""
    return any(
        other != key and other in state and expected[other] is not None and _same_memory(expected[key], expected[other])
        for other in expected
    )


def _same_memory(one: Any, other: Any) -> bool:
    if _shape(one) is None or _shape(one) != _shape(other) or not one.numel():
        return False
    return bool(one.data_ptr() == other.data_ptr() and one.stride() == other.stride())


def _is_constant(model: nn.Module, key: str, tensor: Any) -> bool:
    """Whether training does not change a tensor, e.g. a count, an index table, or the mean of a normalisation."""
    if not isinstance(tensor, Tensor) or is_lazy(tensor):
        return key.endswith(EXTRA_STATE)
    owner_name, _, name = key.rpartition(".")
    owner = model.get_submodule(owner_name) if _is_module(model, owner_name) else model
    if name not in dict(owner.named_buffers(recurse=False)):
        return False
    learns = isinstance(owner, nn.modules.batchnorm._NormBase) or any(True for _ in owner.parameters())
    return not tensor.is_floating_point() or not learns


def _is_module(model: nn.Module, name: str) -> bool:
    return name in {known for known, _ in model.named_modules(remove_duplicate=False)}


def _others_that_fit(
    path: Path, best: Reading, readings: list[Reading], expected: Mapping[str, Any]
) -> tuple[str, ...]:
    """A note about other state dicts in the file that fit as well."""
    others = {other.name for other in readings if other.name != best.name and set(other.state) >= set(expected)}
    if not others:
        return ()
    return (f"--weights '{path}': its '{best.name}' is taken; {_some(sorted(others))} would fit as well",)


def _shape(tensor: Any) -> tuple[int, ...] | None:
    return tuple(tensor.shape) if isinstance(tensor, Tensor) and not is_lazy(tensor) else None


def _some(names: list[str]) -> str:
    listed = ", ".join(f"'{name}'" for name in names[:MAX_NAMES_SHOWN])
    return f"{listed}, ..." if len(names) > MAX_NAMES_SHOWN else listed
