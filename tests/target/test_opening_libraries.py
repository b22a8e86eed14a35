"""Models of torchvision, timm and transformers give the right logits, and notes say what they bring."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision

from advtool.target.opening import hf_processors
from advtool.target.opening.opener import open_model
from advtool.target.opening.spec import ModelSpec
from tests.support.opened import answer, refusal, says

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def pixels(size: int = 32, count: int = 3) -> torch.Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(1))


def normalised(x: torch.Tensor, mean: tuple[float, ...] = MEAN, std: tuple[float, ...] = STD) -> torch.Tensor:
    return (x - torch.tensor(mean).view(-1, 1, 1)) / torch.tensor(std).view(-1, 1, 1)


def test_a_torchvision_model_has_the_same_random_weights_each_time_and_a_note_says_so() -> None:
    asked = ModelSpec("torchvision:resnet18", model_args={"num_classes": 10})
    one, two = open_model(asked), open_model(asked)
    assert torch.equal(answer(one, pixels()), answer(two, pixels()))
    says(one.notes[0], "has random weights: --weights FILE or --weights DEFAULT")
    assert one.class_names is None
    assert one.description == {"spec": "torchvision:resnet18", "arguments": {"num_classes": 10}}


def test_a_file_of_weights_is_loaded(tmp_path: Path) -> None:
    model, path = torchvision.models.resnet18(num_classes=10), tmp_path / "weights.pt"
    torch.save({"state_dict": {f"module.{key}": value for key, value in model.state_dict().items()}}, path)
    opened = open_model(ModelSpec("torchvision:resnet18", weights=str(path), model_args={"num_classes": 10}))
    assert torch.equal(answer(opened, pixels()), answer(model, pixels()))
    assert opened.notes == ()
    says(
        refusal("torchvision:resnet18", weights=str(path)),
        "another shape",
        "'fc.weight' is (10, 512)",
        '{"num_classes": 10}',
    )


def test_the_librarys_own_weights_bring_mean_std_size_and_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(9)
    state = torchvision.models.squeezenet1_1().state_dict()
    downloaded = tmp_path / "hub" / "checkpoints" / Path(torchvision.models.SqueezeNet1_1_Weights.DEFAULT.url).name
    downloaded.parent.mkdir(parents=True)
    torch.save(state, downloaded)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    opened = open_model(ModelSpec("torchvision:squeezenet1_1", weights="DEFAULT"))
    model = torchvision.models.squeezenet1_1()
    model.load_state_dict(state)
    x = pixels(64)
    assert torch.allclose(answer(opened, x), answer(model, normalised(x)), atol=1e-5)
    assert opened.input_size == (224, 224)
    assert opened.class_names is not None
    assert opened.class_names[0] == "tench"
    assert len(opened.class_names) == 1000
    assert opened.description["weights"] == {"name": "IMAGENET1K_V1"}
    says(opened.notes[0], "mean [0.485, 0.456, 0.406], std [0.229, 0.224, 0.225] and images of 224x224")
    plain = open_model(ModelSpec("torchvision:squeezenet1_1", weights="DEFAULT", mean=(0.0,), std=(1.0,)))
    assert torch.allclose(answer(plain, x), answer(model, x), atol=1e-5)


def test_a_download_that_fails_ends_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nothing listens there
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    line = refusal("torchvision:resnet18", weights="DEFAULT")
    says(line, "torchvision's weights for 'resnet18' cannot be loaded", "URLError", "give --weights FILE")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("model", "asked", "parts"),
    [
        ("torchvision:resnet81", {}, ["torchvision has no classifier 'resnet81' (did you mean 'resnet"]),
        ("torchvision:fcn_resnet50", {}, ["is not an image classifier"]),
        ("torchvision:resnet18", {"model_args": {"weights": "DEFAULT"}}, ["instead of 'weights'"]),
        ("torchvision:resnet18", {"model_args": {"classes": 3}}, ["TypeError", "'classes'"]),
    ],
)
def test_unknown_models_and_wrong_arguments_of_torchvision_are_refused(
    model: str, asked: dict[str, Any], parts: list[str]
) -> None:
    says(refusal(model, **asked), *parts)


def test_a_timm_model_has_random_weights_or_those_of_a_file(tmp_path: Path) -> None:
    timm = pytest.importorskip("timm", reason="timm is not installed")
    asked = {"model_args": {"num_classes": 10, "img_size": 32, "patch_size": 8, "depth": 2}}
    name = "timm:vit_tiny_patch16_224"
    one, two = open_model(ModelSpec(name, **asked)), open_model(ModelSpec(name, **asked))
    assert torch.equal(answer(one, pixels()), answer(two, pixels()))
    says(one.notes[0], "has random weights")
    model, path = timm.create_model("vit_tiny_patch16_224", **asked["model_args"]), tmp_path / "weights.pt"
    torch.save(model.state_dict(), path)
    opened = open_model(ModelSpec(name, weights=str(path), **asked))
    assert torch.equal(answer(opened, pixels()), answer(model, pixels()))
    assert opened.input_size == (32, 32)
    says(opened.notes[0], "mean [0.5, 0.5, 0.5]", "--mean and --std")
    says(refusal("timm:resnet81"), "timm has no model 'resnet81'")
    says(refusal("timm:hf-hub:someone/resnet"), "timm has no model 'hf-hub:someone/resnet'")
    says(refusal(name, model_args={"pretrained": True}), "instead of 'pretrained'")


def test_timms_own_weights_bring_mean_and_std(monkeypatch: pytest.MonkeyPatch) -> None:
    timm = pytest.importorskip("timm", reason="timm is not installed")
    made = timm.create_model("resnet18", num_classes=1000)

    def with_weights(name: str, pretrained: bool, **_: Any) -> Any:
        assert pretrained
        return made

    monkeypatch.setattr(timm, "create_model", with_weights)
    opened = open_model(ModelSpec("timm:resnet18", weights="DEFAULT"))
    assert torch.allclose(answer(opened, pixels()), answer(made, normalised(pixels())), atol=1e-5)
    assert opened.input_size == (224, 224)
    says(opened.notes[0], "timm's own, which bring mean [0.485, 0.456, 0.406]")


@pytest.fixture
def folder(tmp_path: Path) -> tuple[Path, torch.nn.Module]:
    """The folder of a small vision transformer that save_pretrained wrote, and the model."""
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    config = transformers.ViTConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=32,
        patch_size=8,
        id2label={0: "cat", 1: "dog", 2: "owl"},
        label2id={"cat": 0, "dog": 1, "owl": 2},
    )
    torch.manual_seed(3)
    model = transformers.ViTForImageClassification(config).eval()
    model.save_pretrained(tmp_path / "vit")
    return tmp_path / "vit", model


def test_a_transformers_folder_gives_logits_class_names_and_preprocessing(
    folder: tuple[Path, torch.nn.Module], capfd: pytest.CaptureFixture[str]
) -> None:
    path, model = folder
    x = pixels()
    capfd.readouterr()
    plain = open_model(ModelSpec(f"hf:{path}"))
    assert torch.equal(answer(plain, x), model(x).logits)
    assert capfd.readouterr() == ("", "")
    assert plain.class_names == ("cat", "dog", "owl")
    assert plain.input_size is None
    config = {"image_mean": [0.5] * 3, "image_std": [0.25] * 3, "size": {"height": 32, "width": 32}}
    (path / "preprocessor_config.json").write_text(json.dumps(config))
    opened = open_model(ModelSpec(f"hf:{path}"))
    assert torch.allclose(answer(opened, x), model((x - 0.5) / 0.25).logits, atol=1e-5)
    assert opened.input_size == (32, 32)
    says(opened.notes[0], "mean [0.5, 0.5, 0.5] and std [0.25, 0.25, 0.25], images of 32x32")
    (path / "preprocessor_config.json").write_text(json.dumps({**config, "rescale_factor": 1 / 127.5}))
    doubled = open_model(ModelSpec(f"hf:{path}"))
    assert torch.allclose(answer(doubled, x), model((2 * x - 0.5) / 0.25).logits, atol=1e-5)


SQUARE = {"size": {"height": 32, "width": 32}, "crop_size": {"height": 32, "width": 32}}
EDGE = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        ("vit", SQUARE),  # the class's own mean of 0.5
        ("vit", SQUARE | {"image_mean": 0.5, "image_std": 0.25}),
        ("vit", SQUARE | {"do_normalize": False}),
        ("vit", SQUARE | {"do_rescale": False}),
        ("efficientnet", SQUARE | {"image_mean": list(MEAN), "image_std": [0.47853944, 0.4732864, 0.47434163]}),
        ("efficientnet", SQUARE | {"include_top": False, "rescale_offset": True, "rescale_factor": 1 / 127.5}),
        ("mobilevit", EDGE),
        ("mobilevit", EDGE | {"do_flip_channel_order": False}),
        ("bit", EDGE),
    ],
    ids=str,
)
def test_pixels_become_what_the_folders_own_processor_makes_of_them(
    kind: str, config: dict[str, Any], tmp_path: Path
) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind}))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(config))
    images = (255 * pixels()).to(torch.uint8)
    wanted = transformers.AutoImageProcessor.from_pretrained(tmp_path)(images=list(images), return_tensors="pt")
    found = hf_processors.read(transformers, tmp_path, 3)
    x = normalised(images / 255, found.mean or (0.0,), found.std or (1.0,))
    given = x[:, list(found.order or (0, 1, 2))]
    assert torch.allclose(given, wanted["pixel_values"], rtol=1e-5, atol=1e-5)
    assert found.size == (32, 32)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_wrapped_timm_model_is_normalised_as_its_config_says(channels: int, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    pytest.importorskip("timm", reason="timm is not installed")
    of_timm = {"input_size": [channels, 24, 32], "mean": MEAN[:channels], "std": STD[:channels], "num_classes": 3}
    config = transformers.TimmWrapperConfig(
        architecture="test_byobnet", num_labels=3, pretrained_cfg=of_timm, model_args={"in_chans": channels}
    )
    model = transformers.TimmWrapperForImageClassification(config).eval()
    model.save_pretrained(tmp_path)
    assert not (tmp_path / "preprocessor_config.json").exists()
    opened, x = open_model(ModelSpec(f"hf:{tmp_path}")), pixels()[:, :channels]
    wanted = model(normalised(x, MEAN[:channels], STD[:channels])).logits
    assert torch.allclose(answer(opened, x), wanted, atol=1e-5)
    assert opened.input_size == (24, 32)
    says(opened.notes[0], "mean [0.485", "images of 24x32")


def test_a_model_that_wants_its_channels_reversed_gets_them_reversed(folder: tuple[Path, torch.nn.Module]) -> None:
    path, model = folder
    (path / "preprocessor_config.json").write_text(
        json.dumps(EDGE | {"image_processor_type": "MobileViTImageProcessor"})
    )
    opened = open_model(ModelSpec(f"hf:{path}"))
    assert torch.equal(answer(opened, pixels()), model(pixels().flip(1)).logits)
    says(opened.notes[0], "channels in the order 2, 1, 0")


def test_a_processor_that_does_more_to_pixels_is_refused(folder: tuple[Path, torch.nn.Module]) -> None:
    path, _ = folder
    config = {"image_processor_type": "ImageGPTImageProcessor", "clusters": [[-1.0] * 3, [1.0] * 3]}
    (path / "preprocessor_config.json").write_text(json.dumps(config))
    says(refusal(f"hf:{path}"), "the image processor of", "cannot be understood")
    (path / "preprocessor_config.json").write_text(json.dumps({"image_mean": 0.5, "image_std": -0.5}))
    says(refusal(f"hf:{path}"), "does more to a pixel than a mean", "FILE.py:FACTORY")


def test_a_folder_whose_head_was_never_trained_is_refused(folder: tuple[Path, torch.nn.Module]) -> None:
    path, model = folder
    model.vit.save_pretrained(path)  # type: ignore[union-attr, operator]
    says(refusal(f"hf:{path}"), "lacks", "of the classifier's tensors, e.g. 'classifier.", "trained to classify")


def test_code_in_a_folder_is_never_run(folder: tuple[Path, torch.nn.Module]) -> None:
    path, _ = folder
    config = json.loads((path / "config.json").read_text())
    config |= {
        "model_type": "own",
        "auto_map": {"AutoConfig": "own.Config", "AutoModelForImageClassification": "own.M"},
    }
    (path / "config.json").write_text(json.dumps(config))
    (path / "own.py").write_text("raise SystemExit('this ran')\n")
    line = refusal(f"hf:{path}")
    says(line, "cannot be read as an image classifier of transformers")
    assert "this ran" not in line
    assert not [name for name in sys.modules if name.endswith(".own")]


def test_a_folder_without_a_config_is_refused(tmp_path: Path) -> None:
    says(refusal(f"hf:{tmp_path}"), "has no config.json")
