"""``advtool eval`` in shards of 25 images, telling on stderr which it writes: ``CHECKPOINT RUN_DIR [--die] [--meet]``.

With ``--die`` rank 1 of torchrun kills itself after its first shard, unless it was started again. With ``--meet`` it
begins with its shards when a second process has come to the run too.
"""

import os
import signal
import sys
import time
from pathlib import Path

from advtool import cli
from advtool.cli.evaluation_progress import EvaluationProgress
from advtool.evaluation import run, shard

ATTACKS = ("--attack", "fgsm", "--attack", "pgd", "--attack", "square(queries=100)")


def command_line(checkpoint: str, folder: str) -> list[str]:
    """The arguments of the program."""
    return [
        "advtool",
        "eval",
        "--checkpoint",
        checkpoint,
        "--images",
        "200",
        *ATTACKS,
        "--format",
        "json",
        "--run-dir",
        folder,
    ]


def in_shards_of(images: int) -> None:
    """Cut runs of this process into such shards."""
    shard.MAX_IMAGES_A_SHARD["cpu"] = images


def meet(run_folder: Path) -> None:
    """Wait for a second process."""
    place = run_folder.with_name(f"{run_folder.name}-meeting")
    place.mkdir(exist_ok=True)
    (place / str(os.getpid())).touch()
    while len(list(place.iterdir())) < 2:
        time.sleep(0.01)


def main() -> None:
    """Run the command."""
    checkpoint, folder, *asked = sys.argv[1:]
    die = "--die" in asked
    in_shards_of(25)
    put, begun = run.Run.put, EvaluationProgress.begun

    def telling(self: run.Run, position: int, record: shard.ShardRecord, *examples: object) -> None:
        put(self, position, record, *examples)  # type: ignore[arg-type]
        print(f"wrote {position} {record.shard}", file=sys.stderr, flush=True)
        if die and os.environ["RANK"] == "1" and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
            os.kill(os.getpid(), signal.SIGKILL)

    def met(self: EvaluationProgress, place: Path) -> None:
        begun(self, place)
        meet(place)

    run.Run.put = telling  # type: ignore[assignment, method-assign]
    if "--meet" in asked:
        EvaluationProgress.begun = met  # type: ignore[method-assign]
    sys.argv = command_line(checkpoint, str(Path(folder)))
    cli.main()


if __name__ == "__main__":
    main()
