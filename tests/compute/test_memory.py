"""How much memory is free."""

from pathlib import Path

import pytest

from advtool.compute.memory import free_in_group

STAT = "anon 300\nfile 500\ninactive_file 200\nactive_file 250\n"


@pytest.mark.parametrize(
    ("used", "most", "free"),
    [(800, 1000, 650), (1000, 1000, 450), (400, 1000, 1000), (1800, 1000, 0)],
)
def test_files_that_the_kernel_keeps_in_memory_count_as_free(tmp_path: Path, used: int, most: int, free: int) -> None:
    for name, text in (("current", f"{used}\n"), ("max", f"{most}\n"), ("stat", STAT)):
        (tmp_path / f"memory.{name}").write_text(text)
    assert free_in_group(tmp_path) == free


def test_a_group_without_a_limit_has_no_free_bytes(tmp_path: Path) -> None:
    for name, text in (("current", "800\n"), ("max", "max\n"), ("stat", STAT)):
        (tmp_path / f"memory.{name}").write_text(text)
    with pytest.raises(ValueError, match="max"):
        free_in_group(tmp_path)
