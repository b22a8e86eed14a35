"""``advtool train`` under torchrun, telling on stderr which epochs begin; rank 1 kills itself: ``OUTPUT [epoch|end]``.

It does so among the batches of epoch 2, or when everything is over and the state is gone, unless it was started again.
"""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from advtool import cli
from advtool.training import loop, session
from advtool.training.place import Place


def main() -> None:
    """Run the command."""
    output, *dies = sys.argv[1:]
    rank, restarts = os.environ["RANK"], os.environ["TORCHELASTIC_RESTART_COUNT"]
    dies = dies if (rank, restarts) == ("1", "0") else []
    batches, wait_for_all = loop.batches, session.wait_for_all

    def told(split: Any, size: int, seed: int, epoch: int, *rest: Any) -> Iterator[Any]:
        if rank == "0":
            print(f"begins epoch {epoch}", file=sys.stderr, flush=True)
        for number, batch in enumerate(batches(split, size, seed, epoch, *rest)):
            if dies == ["epoch"] and (epoch, number) == (2, 1):  # after a batch rank 0 is in epoch 2 too
                os.kill(os.getpid(), signal.SIGKILL)
            yield batch

    def waited(ranks: Any) -> None:
        wait_for_all(ranks)
        if dies == ["end"]:
            while Place(Path(output)).state.exists():
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGKILL)

    loop.batches, session.wait_for_all = told, waited  # type: ignore[assignment]
    settings = ["--arch", "cnn", "--epochs", "3", "--limit", "300", "--device", "cpu"]
    sys.argv = ["advtool", "train", "nfgsm", *settings, "--output", output]
    cli.main()


if __name__ == "__main__":
    main()
