import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch.distributed import HashStore

from advtool.errors import InputError
from advtool.ranks import Ranks, meet

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


def test_ranks_that_start_again_meet_under_a_new_name_in_the_same_store() -> None:
    """The store still holds what the dead ranks wrote, and rank 0 may come last."""
    store = HashStore()
    names: list[str] = []
    for delays in ((0.0, 0.0, 0.1), (0.2, 0.0, 0.1), (0.1, 0.2, 0.0)):

        def join(rank: int, delay: float) -> str:
            time.sleep(delay)
            return meet(store, rank, 3)

        with ThreadPoolExecutor(3) as ranks:
            met = list(ranks.map(join, range(3), delays, timeout=60))
        assert len({*met}) == 1
        names += {*met}
    assert len({*names}) == 3


def test_a_rank_that_another_one_leaves_alone_says_so_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise RuntimeError("Gloo connectFullMesh failed with [tcp.cc:146] Connection refused")

    monkeypatch.setattr(
        sys.modules["torch.distributed.rendezvous"], "rendezvous", lambda *_, **__: iter([(HashStore(), 0, 1)])
    )
    monkeypatch.setattr(torch.distributed, "init_process_group", refused)
    ranks = Ranks(rank=0, world_size=2)
    message = r"^rank 0 lost another rank; see its message above, if it left one$"
    with pytest.raises(InputError, match=message), ranks.group(torch.device("cpu")):
        raise AssertionError("there is no group")
