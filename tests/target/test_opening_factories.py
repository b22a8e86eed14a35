"""Models from the user's own code are imported and called, and errors end in one line."""

import copy
import pickle
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from advtool.errors import InputError
from advtool.target.opening.opener import open_model
from advtool.target.opening.spec import ModelSpec
from tests.support.opened import CNN_SOURCE, answer, images, refusal, says, write


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))


def test_a_function_a_class_an_instance_and_a_nested_attribute_give_the_same_model() -> None:
    write(
        Path("kinds_of_factory.py"),
        """
        from __future__ import annotations
        from dataclasses import dataclass
        import functools
        import torch
        from torch import nn

        @dataclass
        class Width:
            hidden: int = 3

        class Net(nn.Module):
            def __init__(self, width: int = 3) -> None:
                super().__init__()
                self.layers = nn.Sequential(nn.Flatten(), nn.Linear(192, width), nn.ReLU(), nn.Linear(width, 5))

            def forward(self, x):
                return self.layers(x)

            @classmethod
            def make(cls):
                return cls(Width().hidden)

        def function(): return Net()
        partial = functools.partial(Net, width=3)
        instance = Net()
        """,
    )
    # Every opening begins at the same point of the same stream, also for what the module draws itself.
    answers = {
        name: answer(open_model(ModelSpec(f"kinds_of_factory.py:{name}")))
        for name in ("function", "Net", "Net.make", "partial")
    }
    first, *others = answers.values()
    assert all(torch.equal(first, other) for other in others)
    by_module = open_model(ModelSpec("kinds_of_factory:function"))
    assert torch.equal(answer(by_module), first)
    instance = open_model(ModelSpec("kinds_of_factory.py:instance"))
    assert not torch.equal(answer(instance), first)  # the module draws the instance first, so its weights differ
    assert torch.equal(answer(open_model(ModelSpec("kinds_of_factory.py:instance"))), answer(instance))
    assert type(pickle.loads(pickle.dumps(instance.model))) is type(instance.model)
    assert torch.equal(answer(copy.deepcopy(instance.model)), answer(instance))


def test_files_and_helpers_of_the_same_names_in_two_folders_both_work() -> None:
    for folder, factor in (("one", 1), ("two", 2)):
        write(Path(folder) / "helper_of_nets.py", f"factor = {factor}\n")
        write(
            Path(folder) / "net.py",
            """
            from torch import nn
            from helper_of_nets import factor

            class Net(nn.Module):
                def forward(self, x):
                    return factor * x.flatten(1)[:, :5]
            """,
        )
    one, two = open_model(ModelSpec("one/net.py:Net")), open_model(ModelSpec("two/net.py:Net"))
    for opened, factor in ((one, 1), (two, 2)):
        assert torch.equal(answer(opened), factor * images().flatten(1)[:, :5])
    assert one.sources != two.sources
    assert type(pickle.loads(pickle.dumps(two.model))) is type(two.model)


def test_an_edited_helper_takes_effect_at_once() -> None:
    write(Path("net.py"), "from torch import nn\nfrom helper_to_edit import make\n")
    write(Path("helper_to_edit.py"), "from torch import nn\nmake = lambda: nn.Sequential(nn.Flatten(), nn.ReLU())\n")
    before = open_model(ModelSpec("net.py:make"))
    again = open_model(ModelSpec("net.py:make"))
    assert len(before.sources) == 64
    assert before.sources == again.sources
    helper = Path("helper_to_edit.py")
    helper.write_text(helper.read_text().replace("ReLU", "Tanh"))  # same length and second: a cache would miss the edit
    after = open_model(ModelSpec("net.py:make"))
    assert after.sources != before.sources
    assert torch.equal(answer(after), images().flatten(1).tanh())


def test_the_hash_of_the_sources_does_not_depend_on_their_folder() -> None:
    for folder in ("here", "there"):
        write(Path(folder) / "net.py", CNN_SOURCE)
    here, there = (open_model(ModelSpec(f"{folder}/net.py:cnn")) for folder in ("here", "there"))
    assert here.sources == there.sources
    assert open_model(ModelSpec("torch.nn:Flatten")).sources == ""


def test_arguments_reach_the_factory() -> None:
    write(Path("net.py"), CNN_SOURCE)
    opened = open_model(ModelSpec("net.py:cnn", model_args={"width": 6}))
    assert opened.model[0].out_channels == 6  # type: ignore[index, union-attr]
    assert opened.description == {"spec": "net.py:cnn", "arguments": {"width": 6}}


@pytest.mark.parametrize(
    ("source", "model", "asked", "parts"),
    [
        ("def make(depth, width): ...", "net.py:make", {}, ['\'{"depth": "...", "width": "..."}\'', "--model-args"]),
        ("def make(): ...", "net.py:make", {"model_args": {"depth": 1}}, ["no argument 'depth' (it takes: none)"]),
        ("def make(): return {}", "net.py:make", {}, ["an object of type dict", "returns a torch.nn.Module"]),
        ("def make(): pass", "net.py:make", {}, ["gives None"]),
        ("\ndef make():\n    return 1 / 0", "net.py:make", {}, ["net.py, line 3", "ZeroDivisionError: division by"]),
        ("def make(): raise SystemExit(3)", "net.py:make", {}, ["net.py, line 1", "it ends the program"]),
        ("import no_such_package", "net.py:make", {}, ["net.py, line 1", "No module named 'no_such_package'"]),
        ("x = 1\nif x\n", "net.py:make", {}, ["net.py, line 2", "SyntaxError: expected ':'"]),
        ("raise SystemExit('bye')", "net.py:make", {}, ["net.py, line 1", "SystemExit bye"]),
        ("from .layers import x", "net.py:make", {}, ["relative import", "'package.module:NAME'"]),
        ("def make_net(): ...", "net.py:make_nett", {}, ["did you mean 'make_net'?"]),
        ("make = 3", "net.py:make", {}, ["is int, neither a factory nor a model"]),
        ("class A:\n    def make(self): ...", "net.py:A.make", {}, ["is a method"]),
        ("", "absent_module:make", {}, ["there is no module 'absent_module'"]),
        ("", "torch.absent:make", {}, ["No module named 'torch.absent'"]),
    ],
)
def test_an_error_of_the_users_code_is_named_in_one_line(
    source: str, model: str, asked: dict[str, object], parts: list[str]
) -> None:
    write(Path("net.py"), source)
    says(refusal(model, **asked), *parts)


def test_ctrl_c_and_out_of_memory_errors_pass() -> None:
    for error in ("KeyboardInterrupt", "MemoryError"):
        write(Path("net.py"), f"def make(): raise {error}")
        with pytest.raises((KeyboardInterrupt, MemoryError)):
            open_model(ModelSpec("net.py:make"))


def test_nothing_is_printed_to_stdout(capfd: pytest.CaptureFixture[str]) -> None:
    write(
        Path("net.py"),
        """
        import os, sys
        from torch import nn
        print("imported")
        os.system("echo from a child")

        def make():
            print("called")
            sys.stdout.write("written")
            return nn.Flatten()
        """,
    )
    open_model(ModelSpec("net.py:make"))
    out, err = capfd.readouterr()
    assert out == ""
    assert all(word in err for word in ("imported", "from a child", "called", "written"))
    print("after")
    assert capfd.readouterr().out == "after\n"


def test_the_process_is_left_as_it_was() -> None:
    write(
        Path("net.py"),
        """
        import os, random
        import numpy, torch
        from torch import nn
        torch.manual_seed(3); random.seed(3); numpy.random.seed(3); torch.rand(4)
        torch.set_default_dtype(torch.float64); torch.set_default_device("meta"); torch.set_grad_enabled(False)
        torch.set_num_threads(2); torch.use_deterministic_algorithms(True); os.chdir("/")

        def make():
            return nn.Linear(2, 2, device="cpu")
        """,
    )

    def state() -> list[object]:
        return [
            random.getstate(),
            np.random.get_state()[1].tolist(),  # type: ignore[index, union-attr]
            torch.get_rng_state().tolist(),
            torch.get_default_dtype(),
            torch.get_default_device(),
            torch.is_grad_enabled(),
            torch.get_num_threads(),
            torch.are_deterministic_algorithms_enabled(),
            Path.cwd(),
            sys.stdout,
        ]

    before = state()
    open_model(ModelSpec("net.py:make"))
    assert state() == before


def test_the_callers_defaults_do_not_change_the_model() -> None:
    write(Path("net.py"), CNN_SOURCE)
    plain = answer(open_model(ModelSpec("net.py:cnn")))
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(5)
    try:
        with torch.no_grad(), torch.device("meta"):
            opened = open_model(ModelSpec("net.py:cnn"))
    finally:
        torch.set_default_dtype(torch.float32)
    assert all(parameter.requires_grad for parameter in opened.model.parameters())
    assert torch.equal(answer(opened), plain)


def test_the_normalisation_comes_first_and_is_not_in_the_state_dict() -> None:
    write(Path("net.py"), CNN_SOURCE)
    plain = open_model(ModelSpec("net.py:cnn"))
    x = images()
    for mean, std in (
        ((0.5,), (0.2,)),
        ((0.1, 0.2, 0.3), (0.5,)),
        ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6)),
        ((-1.0, 0.5, 300.0), (0.5,)),  # no levels from 0 to 255, so the user means what stands there
        ((1.0,), (2.0,)),
    ):
        opened = open_model(ModelSpec("net.py:cnn", mean=mean, std=std))
        by_hand = (x - torch.tensor(mean).view(-1, 1, 1)) / torch.tensor(std).view(-1, 1, 1)
        assert torch.equal(answer(opened), answer(plain, by_hand))
        assert opened.description["mean"] == list(mean)
        assert not [name for name in opened.model.state_dict() if name.startswith("0.")]


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        ({"mean": (0.5,)}, "--mean goes with --std"),
        ({"std": (0.5,)}, "--std goes with --mean"),
        ({"mean": (0.5,), "std": (0.0,)}, "above 0"),
        ({"mean": (float("nan"),), "std": (1.0,)}, "--mean: give finite numbers"),
        ({"mean": (0.5, 0.5), "std": (1.0, 1.0, 1.0)}, "--mean has 2 values and --std 3"),
        ({"mean": (), "std": ()}, "--mean: give finite numbers"),
        ({"mean": (33.3185,), "std": (78.5655,)}, "--mean 33.32 looks like levels from 0 to 255, but pixels lie in ["),
        ({"mean": (33.3185,), "std": (78.5655,)}, ": give --mean 0.1307 --std 0.3081"),
        ({"mean": (0.0, 123.675, 255.0), "std": (1.0,)}, ": give --mean 0,0.485,1 --std 0.003922"),
        ({"mean": (123.675,), "std": (0.229,)}, ": give --mean 0.485 --std 0.229"),
        ({"model_args": {"x": object()}}, "--model-args: give plain JSON data"),
        ({"model_args": [1]}, "--model-args is no object"),
    ],
)
def test_a_bad_normalisation_and_bad_arguments_are_refused(asked: dict[str, object], part: str) -> None:
    write(Path("net.py"), CNN_SOURCE)
    says(refusal("net.py:cnn", **asked), part)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"model_args": '{"width": 6}'}, 'model_args is no object of keyword arguments: write e.g. model_args={"num'),
        ({"model_args": {"depth": 6}}, "model_args: 'net.py:cnn' takes no argument 'depth' (it takes: width)"),
        ({"mean": 0.5}, "mean goes with std: give both (std=1 for none)"),
        ({"mean": 127.5, "std": 127.5}, "pixels lie in [0, 1]: give mean=0.5 std=0.5"),
        ({"mean": "0.1,0.1,0.1", "std": "1,1,1"}, "mean='0.1,0.1,0.1' must be a number, or one for each channel such"),
        ({"weights": "none.pth"}, "weights='none.pth': no such file"),
        ({"arguments": {}}, "open_model has no argument 'arguments' (known: mean, model_args, std, weights)"),
    ],
)
def test_a_python_caller_reads_the_names_of_pythons_arguments(asked: dict[str, Any], words: str) -> None:
    write(Path("net.py"), CNN_SOURCE)
    with pytest.raises(InputError) as caught:
        open_model("net.py:cnn", **asked)
    says(str(caught.value), words)
    assert "--" not in str(caught.value)


def test_a_factory_whose_weights_are_on_the_meta_device_is_told_to_load_them() -> None:
    write(Path("empty.py"), "import torch\n\ndef net():\n    return torch.nn.Linear(2, 2, device='meta')\n")
    says(
        refusal("empty.py:net"), "the model's 'weight' has no values (it is on the meta device): load its weights first"
    )


def test_a_module_of_a_package_in_the_working_folder_is_imported() -> None:
    write(Path("package_of_nets/__init__.py"), "")
    write(Path("package_of_nets/layers.py"), "from torch import nn\n\ndef head():\n    return nn.Flatten()\n")
    write(Path("package_of_nets/nets.py"), "from .layers import head\n")
    opened = open_model(ModelSpec("package_of_nets.nets:head"))
    assert isinstance(opened.model, nn.Flatten)
    Path("package_of_nets/layers.py").write_text("from torch import nn\n\ndef head():\n    return nn.ReLU()\n")
    assert isinstance(open_model(ModelSpec("package_of_nets.nets:head")).model, nn.ReLU)


def test_a_modules_own_generator_begins_anew_at_each_opening() -> None:
    write(
        Path("net.py"),
        """
        import torch
        from torch import nn
        stream = torch.Generator().manual_seed(0)

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.w = nn.Parameter(torch.rand(192, 5, generator=stream))

            def forward(self, x):
                return x.flatten(1) @ self.w
        """,
    )
    one, two = open_model(ModelSpec("net.py:Net")), open_model(ModelSpec("net.py:Net"))
    assert torch.equal(answer(one), answer(two))


def test_a_model_whose_train_takes_no_mode_is_put_into_eval_mode() -> None:
    write(
        Path("own_modes.py"),
        """
        import torch
        from torch import nn

        class Own(nn.Module):
            def __init__(self):
                super().__init__()
                self.layers = nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(192, 5))

            def train(self):
                return super().train()

            def forward(self, x):
                return self.layers(x)

        def exported():
            return torch.export.export(nn.Flatten(), (torch.rand(2, 3, 8, 8),)).module()
        """,
    )
    opened = open_model(ModelSpec("own_modes.py:Own", mean=(0.5,), std=(0.5,)))
    assert not any(module.training for module in opened.model.modules())
    with torch.no_grad():
        assert torch.equal(opened.model(images()), opened.model(images()))
    assert open_model(ModelSpec("own_modes.py:exported")).model(images(2)).shape == (2, 192)


def test_a_model_or_weights_that_no_result_could_name_are_refused() -> None:
    says(refusal("m\udcfcll.py:make"), "MODEL 'm\udcfcll.py:make' is no UTF-8", "another name")
    says(refusal("torchvision:resnet18", weights="m\udcfcll.pt"), "--weights", "is no UTF-8")


def test_a_module_that_never_called_its_bases_init_is_told_so() -> None:
    write(
        Path("without_init.py"),
        """
        from torch import nn

        class Net(nn.Module):
            def __init__(self):
                self.width = 3
        """,
    )
    says(refusal("without_init.py:Net"), "the model is a Net", "its __init__ must call super().__init__()")
