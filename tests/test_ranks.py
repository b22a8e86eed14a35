import subprocess
import sys

import pytest
import torch

from advtool.errors import InputError
from advtool.ranks import Ranks

TORCHRUN = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}


def test_without_torchrun_a_process_is_alone() -> None:
    assert Ranks.of_environment({}) == Ranks.of_environment({"RANK": "3"}) == Ranks()
    assert Ranks().is_first
    assert not Ranks().are_several


def test_the_environment_of_torchrun_is_understood() -> None:
    ranks = Ranks.of_environment({**TORCHRUN, "TORCHELASTIC_RESTART_COUNT": "2"})
    assert ranks == Ranks(rank=5, world_size=8, local_rank=1, local_world_size=4, restarts=2)
    assert not ranks.is_first
    assert ranks.are_several


@pytest.mark.parametrize(("name", "text"), [("RANK", "one"), ("RANK", "8"), ("WORLD_SIZE", "0"), ("LOCAL_RANK", "-1")])
def test_a_wrong_variable_is_named(name: str, text: str) -> None:
    with pytest.raises(InputError, match=rf"{name}={text}\b"):
        Ranks.of_environment({**TORCHRUN, name: text})


def test_each_process_takes_its_own_cuda_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    places = [Ranks(world_size=4, rank=n, local_rank=n).device(torch.device("cuda")) for n in range(4)]
    assert places == [torch.device("cuda", number) for number in (0, 1, 0, 1)]
    assert Ranks(world_size=4, rank=1, local_rank=1).device(torch.device("cuda", 0)) == torch.device("cuda", 0)
    assert Ranks().device(torch.device("cuda")) == torch.device("cuda")
    assert Ranks(world_size=4, rank=1, local_rank=1).device(torch.device("cpu")) == torch.device("cpu")


def test_the_ranks_are_known_before_torch_is_imported() -> None:
    code = "import sys; from advtool.ranks import Ranks; Ranks.of_environment(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
