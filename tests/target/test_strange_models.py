"""Strange models get the same numbers as plain ones, are left as they were, and get the same numbers again."""

import collections
import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from advtool.errors import InputError
from advtool.target.adapting import Adapted
from advtool.target.facts import Needs
from advtool.target.handling import Handled
from advtool.target.state import State
from advtool.target.target import Target
from tests.support import stateful_models as stateful
from tests.support import strange_models as odd
from tests.support.models import mlp
from tests.support.networks import Network
from tests.support.strange import SHAPE, Around, codes, document, evaluate, forget, held_by, images, labels, numbers

Build = Callable[[], Any]

SAME: dict[str, tuple[Build, Build]] = {
    "in place: relu_": (lambda: Around(lambda x: x.relu_()), odd.plain),
    "in place: mul_": (lambda: Around(lambda x: x.sub_(0.5).mul_(2).add_(1)), odd.doubled),
    "in place: an item": (lambda: Around(odd.first_column), odd.doubled),
    "in place: a view": (lambda: Around(odd.through_a_view), odd.doubled),
    "in place: data": (lambda: Around(odd.through_data), odd.doubled),
    "in place: NumPy": (lambda: Around(odd.through_numpy), odd.doubled),
    "in place: transpose_": (lambda: Around(lambda x: x.transpose_(2, 3).transpose_(2, 3)), odd.plain),
    "in place: detach_": (lambda: Around(odd.detached_without_gradient), odd.doubled),
    "in place: requires_grad_": (lambda: Around(lambda x: x.requires_grad_() * 2), odd.doubled),
    "checkpointing": (lambda: odd.Checkpointed(reentrant=False), odd.plain),
    "reentrant checkpointing": (lambda: odd.Checkpointed(reentrant=True), odd.plain),
    "reentrant checkpointing, in place": (
        lambda: odd.Checkpointed(reentrant=True, in_place=True),
        odd.doubled,
    ),
    "script": (lambda: torch.jit.script(odd.convolution()), odd.convolution),
    "script, saved": (
        lambda: odd.saved(torch.jit.script(odd.convolution())),
        odd.convolution,
    ),
    "trace": (lambda: torch.jit.trace(odd.convolution(), images()), odd.convolution),
    "trace, saved": (
        lambda: odd.saved(torch.jit.trace(odd.convolution(), images())),
        odd.convolution,
    ),
    "freeze": (lambda: torch.jit.freeze(torch.jit.script(odd.convolution())), odd.convolution),
    "freeze, saved": (
        lambda: odd.saved(torch.jit.freeze(torch.jit.script(odd.convolution()))),
        odd.convolution,
    ),
    "freeze, inside": (
        lambda: nn.Sequential(torch.jit.freeze(torch.jit.script(odd.convolution()))),
        odd.convolution,
    ),
    "script that counts": (lambda: torch.jit.script(odd.ScriptedCounter()), odd.negated),
    "script that counts, saved": (
        lambda: odd.saved(torch.jit.script(odd.ScriptedCounter())),
        odd.negated,
    ),
    "DataParallel": (lambda: nn.DataParallel(odd.convolution()), odd.convolution),
    "graph": (lambda: torch.fx.symbolic_trace(odd.convolution()), odd.convolution),
    "compiled": (lambda: torch.compile(odd.plain(), backend="eager"), odd.plain),
    "quantised": (odd.quantised, odd.quantised),
    "sparse weights": (lambda: odd.SparseWeights(Tensor.to_sparse), lambda: odd.SparseWeights(Tensor.to_sparse)),
    "compressed weights": (
        lambda: odd.SparseWeights(Tensor.to_sparse_csr),
        lambda: odd.SparseWeights(Tensor.to_sparse_csr),
    ),
    "prepared for quantisation": (odd.prepared, odd.prepared),
    "extra state": (odd.Extra, odd.plain),
    "hook: records": (stateful.KeepsActivations, odd.plain),
    "hook: changes": (lambda: odd.with_hook(lambda *args: args[-1].clone()), odd.plain),
    "hook: on the way back": (
        lambda: odd.with_hook(lambda *_: None, "register_full_backward_hook"),
        odd.plain,
    ),
    "hook: on the graph": (lambda: odd.with_hook(odd.hooks_on_the_graph), odd.plain),
    "hook: once": (stateful.RemovesItsHook, odd.plain),
    "weight norm": (lambda: odd.normed(nn.utils.parametrizations.weight_norm), odd.plain),
    "weight norm, old": (lambda: odd.normed(nn.utils.weight_norm), odd.plain),
    "spectral norm": (lambda: odd.normed(nn.utils.parametrizations.spectral_norm), None),
    "parametrised": (lambda: odd.normed(odd.parametrised), odd.plain),
    "pruned": (lambda: odd.normed(lambda m: prune.identity(m, "weight")), odd.plain),
    "lazy, called once": (lambda: odd.lazy(called=True), lambda: odd.lazy(called=True)),
    "keeps state of every kind": (stateful.ChangesEverything, odd.plain),
    "depends on an object's counter": (lambda: stateful.AlternatesByCounter(stateful.Notes()), odd.negated),
    "depends on a counter in a slot": (lambda: stateful.AlternatesByCounter(stateful.Slots()), odd.negated),
    "moves its weights": (stateful.MovesWeights, stateful.WithMovedWeights),
    "swaps its modules": (stateful.SwapsModules, odd.plain),
    "memoises": (stateful.Memoises, odd.plain),
    "adapts": (stateful.Adapts, odd.cut),
    "batch norm with momentum": (
        lambda: nn.Sequential(nn.BatchNorm2d(1, momentum=0.9, eps=0), odd.plain()).eval(),
        odd.plain,
    ),
    "no batch of one": (odd.NoSingle, odd.plain),
    "squeezes": (lambda: Around(after=lambda z: z.squeeze()), odd.plain),
    "tuple": (lambda: Around(after=lambda z: (z, 1)), odd.plain),
    "loss and logits": (lambda: Around(after=lambda z: (z.sum(), z)), odd.plain),
    "list": (lambda: Around(after=lambda z: [z]), odd.plain),
    "dict": (lambda: Around(after=lambda z: {"aux": z[:, :1], "logits": z}), odd.plain),
    "dict by other names": (
        lambda: Around(after=lambda z: collections.OrderedDict(out=z, aux=z[:, :1])),
        odd.plain,
    ),
    "named tuple": (lambda: Around(after=lambda z: odd.Record(z[:, :1], z)), odd.plain),
    "dataclass": (lambda: Around(after=odd.Output), odd.plain),
    "axes of one": (lambda: Around(after=lambda z: z[:, :, None, None]), odd.plain),
    "NumPy inside": (lambda: Around(lambda x: torch.from_numpy(x.detach().numpy().copy())), odd.cut),
    "NumPy without detach": (lambda: Around(lambda x: torch.from_numpy(x.numpy())), odd.cut),
    "NumPy outside": (lambda: Around(after=lambda z: z.detach().numpy()), odd.cut),
    "integers": (
        lambda: Around(after=lambda z: (100 * z).round().int()),
        lambda: Around(after=lambda z: (100 * z.detach()).round()),
    ),
    "float64": (lambda: odd.plain().double(), lambda: odd.Cast(torch.float64)),
    "float16": (lambda: odd.plain().half(), lambda: odd.Cast(torch.float16)),
    "bfloat16": (lambda: odd.plain().bfloat16(), lambda: odd.Cast(torch.bfloat16)),
    "float16 behind float32": (odd.HalfBehindFloat32, lambda: odd.Cast(torch.float16)),
    "a masked class": (
        lambda: Around(after=odd.masked(-torch.inf)),
        lambda: Around(after=odd.masked(-1e4)),
    ),
    "log of softmax": (lambda: Around(after=lambda z: z.log_softmax(1)), odd.plain),
    "function: straight through": (lambda: Around(odd.function(lambda g: g)), odd.plain),
    "function: no backward": (lambda: Around(odd.function()), odd.cut),
    "function: None": (lambda: Around(odd.function(lambda _: None)), odd.cut),
    "function: wrong shape": (lambda: Around(odd.function(lambda g: g[:1] * 1)), odd.cut),
    "function: wrong number": (lambda: Around(odd.function(lambda g: (g, g))), odd.cut),
    "function: raises": (lambda: Around(odd.function(odd.raising)), odd.cut),
    "double backward": (odd.Differentiates, odd.Differentiates),
    "no_grad inside": (odd.NoGrad, odd.cut),
    "inference mode inside": (odd.Inference, odd.cut),
    "made in inference mode": (odd.made_in_inference_mode, odd.plain),
    "frozen": (lambda: odd.plain().requires_grad_(False), odd.plain),
    "not registered": (odd.Unregistered, odd.plain),
    "deep": (odd.deep, odd.plain),
    "recursive": (odd.Recursive, odd.plain),
    "cached property": (odd.Cached, odd.plain),
    "any attribute": (odd.AnswersAnything, odd.plain),
    "a copy is itself": (odd.IsItsCopy, odd.plain),
    "no copy": (odd.NoCopy, odd.plain),
    "no pickle": (odd.NoPickle, odd.plain),
    "own methods": (odd.OwnMethods, odd.plain),
    "own __call__": (odd.OwnCall, odd.doubled),
    "warns": (odd.Warns, odd.plain),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", SAME)
def test_a_strange_model_gets_the_numbers_of_a_plain_one(name: str, tmp_path: Path) -> None:
    build, twin = SAME[name]
    model, other = build(), (twin or build)()
    x, y = images(), labels(odd.plain(), images())
    expected, before = numbers(evaluate(other, x, y)), held_by(model)
    first = evaluate(model, x, y, run_dir=tmp_path / "run")
    assert numbers(first) == expected
    assert held_by(model) == before
    again = evaluate(model, x, y)
    assert document(again) == document(first)
    forget(tmp_path / "run")
    resumed = evaluate(model, x, y, run_dir=tmp_path / "run")
    assert document(resumed) == document(first)
    assert held_by(model) == before


@pytest.mark.parametrize("one", [lambda z: z[:, 0] - z[:, 1], lambda z: (z[:, 0] - z[:, 1])[:, None]])
def test_one_logit_per_image_stands_for_two_classes(one: Callable[[Tensor], Tensor]) -> None:
    x = images()
    y = labels(odd.two_classes(), x, 2)
    assert numbers(evaluate(Around(after=one), x, y)) == numbers(evaluate(odd.two_classes(), x, y))


@pytest.mark.parametrize(
    ("shape", "classes", "count"),
    [
        ((1, 4, 4), 2, 12),
        ((1, 4, 4), 1000, 12),
        ((3, 1, 1), 3, 12),
        ((5, 4, 6), 4, 9),
        ((1, 4, 4), 4, 2),
        ((1, 1, 1), 2, 1),
    ],
)
def test_any_image_shape_and_number_of_classes_works(shape: tuple[int, ...], classes: int, count: int) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(shape[0], 4, 1), nn.ReLU(), nn.Flatten(), nn.LazyLinear(classes))
    x = images(count, shape)
    y = labels(model, x, classes)
    result = evaluate(model, x, y, attacks=["pgd", "square(queries=20)"])
    assert result.clean.correct == int((model(x).argmax(1) == y).sum())
    assert result.clean.total == count


REFUSED: dict[str, tuple[Build, str]] = {
    "a function": (lambda: lambda x: x.flatten(1), "is a function, not a torch.nn.Module"),
    "a class": (lambda: odd.Net, "is a type, not"),
    "a program": (lambda: torch.export.export(odd.plain(), (images(),)), r"\.module\(\)"),
    "no super().__init__()": (odd.NoInit, r"super\(\).__init__\(\)"),
    "lazy": (lambda: odd.lazy(called=False), "does not exist yet"),
    "on the meta device": (odd.without_values, "no values"),
    "one buffer": (odd.OneBuffer, "in the same tensor"),
    "a fixed batch": (odd.Fixed, "fails with other batches"),
    "a fixed batch of one": (odd.OneImage, "takes a single image, but fails with a batch of 8 .*batches of any size"),
    "even batches": (odd.Even, "fails with other batches"),
    "bool": (lambda: Around(after=lambda z: z > 0), "torch.bool"),
    "complex": (lambda: Around(after=lambda z: z + 0j), "torch.complex64"),
    "sparse": (lambda: Around(after=lambda z: z.to_sparse()), "sparse"),
    "no batch": (lambda: Around(after=lambda z: z.sum()), r"it gave \(\)"),
    "text": (lambda: Around(after=lambda _: "cat"), "it gave str"),
    "NaN": (lambda: Around(after=lambda z: z * torch.nan), "NaN"),
    "exits": (odd.Exits, "sys.exit"),
    "exits later": (odd.ExitsLater, "sys.exit"),
    "endless": (odd.Endless, "recursion"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_model_that_cannot_work_is_refused_in_one_line_and_left_as_it_was(name: str) -> None:
    build, words = REFUSED[name]
    model = build()
    before = held_by(model) if isinstance(model, nn.Module) and not isinstance(model, odd.NoInit) else {}
    with pytest.raises(InputError, match=words) as caught:
        evaluate(model, images(), torch.arange(12) % 4)
    assert "\n" not in str(caught.value)
    assert not before or held_by(model) == before


def test_a_model_of_small_batches_is_told_from_one_that_fails() -> None:
    x, y = images().repeat(4, 1, 1, 1), torch.arange(48) % 4
    with pytest.raises(InputError, match=r"on a batch of \(48, .*32 rows; with 2 images it works.*split"):
        evaluate(odd.UpTo32(), x, y)
    target = Target(odd.UpTo32(), input_shape=SHAPE, classes=4)
    with pytest.raises(InputError, match=r"on a batch of \(3, 9\): .*") as caught:
        target.logits(torch.rand(3, 9))
    assert "it works" not in str(caught.value)


def test_ctrl_c_passes_and_the_model_is_left_as_it_was() -> None:
    class Interrupted(stateful.ChangesEverything):
        def forward(self, x: Tensor) -> Any:
            if len(x) == 12:
                raise KeyboardInterrupt
            return super().forward(x)

    model = Interrupted()
    before = held_by(model)
    with pytest.raises(KeyboardInterrupt):
        evaluate(model, images(), torch.arange(12) % 4)
    assert held_by(model) == before


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("function: None", "zero-gradient"),
        ("function: no backward", "no-gradient"),
        ("no_grad inside", "no-gradient"),
        ("NumPy inside", "no-gradient"),
    ],
)
def test_a_lost_gradient_is_called_masking(name: str, code: str) -> None:
    found = evaluate(SAME[name][0](), images(), labels(odd.plain(), images())).warnings
    assert [finding.kind for finding in found if finding.code == code] == ["masking"]


def test_a_gradient_of_nan_is_called_masking() -> None:
    def guarded(x: Tensor) -> Tensor:
        return torch.where(x >= 0, x, x / (x - x))

    model = Around(guarded)
    found = evaluate(model, images(), labels(odd.plain(), images())).warnings
    assert [finding.kind for finding in found if finding.code == "undefined-gradient"] == ["masking"]


def test_dead_units_are_not_called_masking() -> None:
    model = mlp(SHAPE)
    with torch.no_grad():
        model[1].bias[::2] = -100.0
    lost = {"undefined-gradient", "zero-gradient", "no-gradient"}
    assert not lost & codes(evaluate(model, images(), labels(model, images())))


def test_the_search_form_changes_nothing_of_a_model_that_is_its_own_copy() -> None:
    class Own(nn.Sequential):
        def __deepcopy__(self, memo: Any) -> "Own":
            return self

    model = Own(*copy.deepcopy(odd.convolution()))
    kinds = [type(module) for module in model]
    evaluate(model, images(), labels(odd.plain(), images()))
    assert [type(module) for module in model] == kinds
    assert not model[2].inplace


def test_logits_come_to_the_device_of_the_images() -> None:
    """A model on a GPU may answer in NumPy, or on the CPU. The meta device stands for the GPU."""
    model = Network(lambda x: torch.zeros(len(x), 3))
    handled = Handled(model, State(model), train_mode=False)
    logits = Adapted(handled, Needs(unwrapping=True))(torch.zeros(2, *SHAPE, device="meta"))
    assert (logits.device.type, tuple(logits.shape)) == ("meta", (2, 3))
