"""Which tables a command means: by name, by data set, and from the user's own code."""

import sys
from pathlib import Path
from textwrap import dedent

import pytest

from advtool.errors import InputError
from advtool.reproduce.catalogue import TABLES, Scale
from advtool.reproduce.registry import every, find
from tests.conftest import InProcess


def write(path: Path, source: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dedent(source))


@pytest.mark.parametrize("which", [["all"], ["--list"]])
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--dataset", "mnits"], "--dataset 'mnits': no such data set (did you mean 'mnist'?)"),
        (["--dataset", "mnist", "--dataset", "mnits"], "'mnits'"),
        (["--dataset", "digits", "--scale", "cpu"], "--dataset digits: no table takes it at the scale cpu, which has "),
    ],
)
def test_a_data_set_without_tables_is_refused(
    which: list[str], options: list[str], expected: str, advtool_here: InProcess
) -> None:
    assert expected in advtool_here.refused("reproduce", *which, *options)
    assert not list(advtool_here.folder.iterdir())


def test_the_refusal_names_the_data_sets_of_the_scale() -> None:
    with pytest.raises(InputError) as error:
        every(Scale.smoke, ["cifar10"])
    assert str(error.value).endswith("at the scale smoke, which has digits")
    assert [table.name for table in every(Scale.smoke, ["digits"])] == list(TABLES)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (":MINE", "'' is neither FILE.py nor the name of a module"),
        (".tables:MINE", "'.tables' is neither FILE.py nor the name of a module"),
        ("absent:MINE", "No module named 'absent'"),
        ("broken.py:MINE", "importing 'broken.py' failed (broken.py, line 3): NameError: name 'Tabel' is not defined"),
        ("wrong.py:MINE", "importing 'wrong.py' failed (wrong.py, line 1): SyntaxError"),
        ("ends.py:MINE", "it ends the program (SystemExit 3)"),
        ("empty.py:MINE", "'empty.py' has no table 'MINE'"),
    ],
)
def test_code_without_the_table_is_refused_in_one_line(name: str, expected: str, advtool_here: InProcess) -> None:
    write(advtool_here.folder / "broken.py", "\nimport math\nMINE = Tabel()\n")
    write(advtool_here.folder / "wrong.py", "MINE = (\n")
    write(advtool_here.folder / "ends.py", "raise SystemExit(3)\n")
    write(advtool_here.folder / "empty.py", "x = 1\n")
    assert expected in advtool_here.refused("reproduce", name)


@pytest.mark.parametrize("name", ["here/mine.py:MINE", "lab.tables:MINE"])
def test_a_file_and_a_module_of_the_working_folder_find_their_neighbours(
    name: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    source = """
    from advtool.reproduce.registry import find

    print("a table of my own")
    MINE = find(NAME)
    """
    write(tmp_path / "here" / "the_name.py", "NAME = 'apb-time'\n")
    write(tmp_path / "here" / "mine.py", "from the_name import NAME\n" + dedent(source))
    write(tmp_path / "lab" / "the_name.py", "NAME = 'apb-time'\n")
    write(tmp_path / "lab" / "tables.py", "from lab.the_name import NAME\n" + dedent(source))
    assert find(name).name == "apb-time"
    assert capfd.readouterr().out == ""
