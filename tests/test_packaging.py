"""What a packager gets: a wheel and an sdist that hold what they should, and that run where they are installed."""

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

import advtool

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


def test_the_citation_is_of_this_version_and_has_what_the_format_requires() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (cited["cff-version"], cited["version"]) == ("1.2.0", advtool.__version__)
    assert (cited["title"], cited["license"]) == (PROJECT["name"], PROJECT["license"])
    assert (cited["abstract"], cited["authors"]) == (PROJECT["description"], PROJECT["authors"])
    assert cited["message"]
    for paper in cited["references"]:
        assert paper["type"] == "article"
        assert all(author.keys() >= {"given-names", "family-names"} for author in paper["authors"])
        assert re.fullmatch(r"arXiv:\d{4}\.\d{5}", paper["identifiers"][0]["value"])


def test_the_extra_all_has_every_other_one() -> None:
    (everything,) = EXTRAS["all"]
    assert sorted(everything.removeprefix("advtool[").removesuffix("]").split(",")) == sorted(EXTRAS.keys() - {"all"})


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and with the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
def test_the_wheel_holds_the_package_alone(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    information = f"advtool-{advtool.__version__}.dist-info/"
    assert {name for name in names if not name.startswith(information)} == source("advtool")
    assert {f"{information}licenses/LICENSE", f"{information}entry_points.txt", "advtool/py.typed"} <= names


@pytest.mark.slow
def test_the_sdist_holds_what_make_needs_and_no_trained_models_or_data(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    rooms = {"advtool", "tests", "docs", "benchmarks", ".ci"}
    assert set().union(*map(source, rooms)) <= names
    alone = {"Makefile", "pyproject.toml", "mkdocs.yml", "CITATION.cff", "LICENSE", "README.md", "CHANGELOG.md"}
    alone |= {"CONTRIBUTING.md", ".pre-commit-config.yaml"}
    assert alone <= names
    assert {name.partition("/")[0] for name in names} - rooms - alone <= {"action.yml", ".gitignore", "PKG-INFO"}
    weights = [name for name in names if name.endswith((".safetensors", ".npz", ".pt", ".pth"))]
    assert all(name.startswith(("tests/checkpoints/", "tests/data_mnist/")) for name in weights)


@pytest.mark.slow
def test_the_installed_wheel_trains_and_evaluates_in_an_empty_folder(built: Path, tmp_path: Path) -> None:
    """In an environment of its own, which borrows nothing but the dependencies of the one that runs the tests."""
    (wheel,) = built.glob("*.whl")
    home, work = tmp_path / "environment", tmp_path / "work"
    work.mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(*command: str | Path) -> str:
        done = subprocess.run(
            list(map(str, command)), cwd=work, env=environment, capture_output=True, text=True, timeout=200, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run(sys.executable, "-m", "venv", home)
    python, command = home / "bin" / "python", home / "bin" / "advtool"
    run(python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel)
    (packages,) = home.glob("lib/*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))

    assert run(python, "-c", "import advtool; print(advtool.__file__)").startswith(str(packages))
    assert run(command, "--version") == f"advtool {advtool.__version__}\n"
    assert "Begin with" in run(command, "--help")
    assert run(command, "train", "clean", "--epochs", "1") == "checkpoints/digits-lenet-clean-s0.safetensors\n"
    assert "worst case" in run(command, "eval", "--attack", "fgsm", "--images", "50")


def source(room: str) -> set[str]:
    """The files of a folder of the repository that are no caches."""
    files = (path for path in (ROOT / room).rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(ROOT)) for path in files if path.suffix != ".pyc"}
