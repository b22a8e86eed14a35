"""``--weights``: a file of tensors into a model, whatever the file wraps them in and however it prefixes them."""

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

MOST_NAMED = 3
MOST_RENAMINGS = 8
TORCH_WRAPPERS = {"module", "_orig_mod"}
"""of DataParallel and torch.compile"""
EXTRA_STATE = "_extra_state"

State = dict[str, Any]


class Renaming(NamedTuple):
    """Keys begin with ``given``, and in the model with ``wanted``."""

    given: str
    wanted: str


class Reading(NamedTuple):
    """A state dict of the file, renamed as the model might call its tensors."""

    name: str
    """the keys that lead to it"""
    state: State
    strangers: list[str]
    """keys without the prefix that the others have: they have no place in the model"""


def load_into(model: nn.Module, path: Path) -> tuple[str, ...]:
    """Put the tensors of ``path`` into ``model``; all of them, and nothing may be left over.

    Understood are wrappers (``{"state_dict": ...}``, two deep) and one prefix that the file's keys have too much
    or too little. Only what no training changes may be missing: counters, index tables, and the constants of
    layers without parameters.

    Args:
        model: its parameters and buffers are overwritten.
        path: safetensors, or a state dict that ``torch.load(weights_only=True)`` reads.

    Returns:
        What the user should know, one line each.

    Raises:
        InputError: the file is damaged, can run code or does not fit. The model is then of no use.
    """
    content = weight_files.read(path)
    with one_line(f"--weights '{path}': the model has no state dict"):
        expected = model.state_dict()
    readings = list(_readings(content, expected))
    if not readings:
        raise InputError(f"--weights '{path}' holds no state dict: save one with torch.save(model.state_dict(), ...)")
    best = max(readings, key=lambda reading: _fit(reading, expected))  # the first of equals
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
    """Every state dict in the file under every renaming that might make it fit."""
    for name, state in _state_dicts(content, expected):
        for keys in (state, _without_wrappers(state, expected)):
            if len(keys) == len(state):  # no two became one
                yield from (_renamed(name, keys, renaming) for renaming in _renamings(keys, expected))


def _renamed(name: str, state: State, renaming: Renaming) -> Reading:
    given, wanted = renaming
    renamed = {wanted + key.removeprefix(given): state[key] for key in state if key.startswith(given)}
    return Reading(name, renamed, [key for key in state if not key.startswith(given)])


def _state_dicts(
    content: Any, expected: Mapping[str, Any], name: str = "", depth: int = 2
) -> Iterator[tuple[str, State]]:
    """The dicts of tensors in a file with the keys that lead there; moving averages last."""
    if not isinstance(content, Mapping):
        return
    named = {key: value for key, value in content.items() if isinstance(key, str)}
    if any(isinstance(value, Tensor) for value in named.values()):
        # A state dict may hold more than tensors, e.g. the packed weights of quantised layers.
        yield name, {key: named[key] for key in named if isinstance(named[key], Tensor) or key in expected}
    if depth:
        for key in sorted(named, key=lambda key: "ema" in key.lower()):
            yield from _state_dicts(named[key], expected, f"{name}.{key}".lstrip("."), depth - 1)


def _renamings(state: State, expected: Mapping[str, Any]) -> list[Renaming]:
    """The changes of a prefix under which most keys meet one of the model with the same shape."""
    by_end: dict[tuple[str, Any], list[str]] = {}
    for key, tensor in expected.items():
        by_end.setdefault((key.rpartition(".")[2], _shape(tensor)), []).append(key)
    votes: Counter[Renaming] = Counter()
    for given, tensor in state.items():
        for wanted in by_end.get((given.rpartition(".")[2], _shape(tensor)), ()):
            votes[_renaming(given, wanted)] += 1
    return [Renaming("", ""), *(renaming for renaming, _ in votes.most_common(MOST_RENAMINGS))]


def _without_wrappers(state: State, expected: Mapping[str, Any]) -> State:
    """The keys without the names of torch's wrappers, which may stand in the middle: ``features.module.0.weight``."""

    def bare(key: str) -> str:
        return ".".join(part for part in key.split(".") if part not in TORCH_WRAPPERS)

    names = {bare(key): key for key in expected}
    return {names.get(bare(key), bare(key)): state[key] for key in state}


def _renaming(given: str, wanted: str) -> Renaming:
    """What remains of two keys before the part in which they agree."""
    ours, theirs = given.split("."), wanted.split(".")
    while ours and theirs and ours[-1] == theirs[-1]:
        ours.pop()
        theirs.pop()
    return Renaming("".join(f"{part}." for part in ours), "".join(f"{part}." for part in theirs))


def _fit(reading: Reading, expected: Mapping[str, Any]) -> tuple[int, int]:
    """How many tensors fit by name and shape, and minus how many are of no use."""
    state = reading.state
    fitting = sum(key in expected and _shape(state[key]) == _shape(expected[key]) for key in state)
    return fitting, -sum(key not in expected for key in state) - len(reading.strangers)


def _check_shapes(path: Path, state: State, expected: Mapping[str, Any]) -> None:
    shapes = {key: (_shape(state[key]), _shape(expected.get(key))) for key in state}
    wrong = {key: both for key, both in shapes.items() if None not in both and both[0] != both[1]}
    if wrong:
        listed = [f"'{key}' is {given}, the model's {wanted}" for key, (given, wanted) in wrong.items()]
        raise InputError(
            f"--weights '{path}' does not fit the model: {len(wrong)} tensor(s) have another shape "
            f"({'; '.join(listed[:MOST_NAMED])}{'; ...' if len(listed) > MOST_NAMED else ''}){_other_classes(wrong)}"
        )


def _other_classes(wrong: Mapping[str, Any]) -> str:
    """What to do where nothing but the number of outputs differs."""
    if any(given[1:] != wanted[1:] or not given for given, wanted in wrong.values()):
        return ""
    counts = {(given[0], wanted[0]) for given, wanted in wrong.values()}
    if len(counts) != 1:
        return ""
    example = json.dumps({"num_classes": counts.pop()[0]})
    return f": if it was trained for that many classes, say so to the factory, e.g. --model-args '{example}'"


def _refuse_misfits(path: Path, reading: Reading, missing: list[str], unexpected: list[str], tensors: int) -> None:
    unexpected = unexpected + reading.strangers
    if not missing and not unexpected:
        return
    given, faults = len(reading.state) + len(reading.strangers), []
    if missing:
        faults.append(f"{len(missing)} of the model's {tensors} tensors are missing ({_some(missing)})")
    if unexpected:
        faults.append(f"{len(unexpected)} of the file's {given} have no place in it ({_some(unexpected)})")
    raise InputError(f"--weights '{path}' does not fit the model: {', and '.join(faults)}")


def _is_tied(key: str, expected: Mapping[str, Any], state: State) -> bool:
    """Whether the tensor is one that the file holds under another name, as safetensors saves tied weights."""
    return any(
        other != key and other in state and expected[other] is not None and _same_memory(expected[key], expected[other])
        for other in expected
    )


def _same_memory(one: Any, other: Any) -> bool:
    if _shape(one) is None or _shape(one) != _shape(other) or not one.numel():
        return False
    return bool(one.data_ptr() == other.data_ptr() and one.stride() == other.stride())


def _is_constant(model: nn.Module, key: str, tensor: Any) -> bool:
    """Whether training never changes a tensor: a count, an index table, the mean of a normalisation."""
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
    """A word about further weights in the file that would have fitted as well."""
    others = {other.name for other in readings if other.name != best.name and set(other.state) >= set(expected)}
    return (f"--weights '{path}': its '{best.name}' is taken; {_some(sorted(others))} would fit as well",) * bool(
        others
    )


def _shape(tensor: Any) -> tuple[int, ...] | None:
    return tuple(tensor.shape) if isinstance(tensor, Tensor) and not is_lazy(tensor) else None


def _some(names: list[str]) -> str:
    listed = ", ".join(f"'{name}'" for name in names[:MOST_NAMED])
    return f"{listed}, ..." if len(names) > MOST_NAMED else listed
