"""A run is a folder of shards. A finished shard stays finished, whatever happens next.

::

    RUN/manifest.json             the question, what is known of the model, the machine, the images in a pass
    RUN/shards/1-fgsm-0000.json   one stage (0 is clean) on one slice of the images, with a checksum
    RUN/model.safetensors         the identity of the model: hashes of its tensors, its answers to fixed questions
    RUN/image_ids.json            a fingerprint of each image with its label, in the order of the images
    RUN/adversarial/1-fgsm-0000.safetensors    verified adversarial examples of that shard, if they are kept
    RUN/shown/1-fgsm-0000.safetensors          the first of them, for the report; a run has few
    RUN/contradiction-3.safetensors    what was proved of image 3, and what breaks it: an error of advtool
    RUN/inspection.json           what the gradient of the model is worth, once every attack is done
    RUN/images.jsonl              a line for each image, once every shard is there
    RUN/result.json               the answer, once every shard is there
    RUN/command.json              the options of the command that began it; none if it was begun in Python
    RUN/.lock                     held by every process that computes the run
    RUN/.claims/0000              held by the process that computes that shard; ``begin`` by the one that begins the
                                  run, ``passes`` by the one that notes a smaller pass
    RUN/.sealed/                  the hashes of the documents above, see :mod:`advtool.documents`
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from advtool import documents, locks
from advtool.checkpoints import SUFFIX
from advtool.errors import InputError
from advtool.evaluation import examples, shard_files
from advtool.evaluation.examples import EXAMPLES, SHOWN, Examples
from advtool.evaluation.manifest import (
    MANIFEST,
    Manifest,
    differences,
    read_begun,
    read_manifest,
    refuse_changes,
)
from advtool.evaluation.shard import ShardRecord
from advtool.evaluation.shard_files import SHARDS
from advtool.files import remove_unfinished
from advtool.results import Evaluation
from advtool.target.inspection import Inspection

IMAGE_IDS = "image_ids.json"
IMAGES = "images.jsonl"
INSPECTION = "inspection.json"
RESULT = "result.json"
LOCK, CLAIMS = ".lock", ".claims"
PASSES = "passes"
"""The claim of the process that notes how many images fit into a pass."""


class Run:
    """The shards of a run, in memory and, if it has a folder, on disk too.

    Args:
        folder: where the run lives; None keeps it in memory alone.
        manifest: of the run if it begins now. A run that goes on keeps its own, which must have this configuration.
        keep_examples: the labels of the attacks whose verified adversarial examples are kept. A shard of such an
            attack is not finished without them.

    Raises:
        InputError: the folder holds a run of another configuration, or something else, or nobody may write there.
    """

    def __init__(self, folder: Path | None, manifest: Manifest, *, keep_examples: Collection[str] = ()) -> None:
        if keep_examples and folder is None:
            raise InputError("adversarial examples are kept in the run's folder: name one")
        self.folder, self.manifest, self._keep_examples = folder, manifest, keep_examples
        self._holding = ExitStack()
        self.changed_environment: dict[str, tuple[Any, Any]] = {}
        self._shards: dict[tuple[int, int], ShardRecord] = {}
        self.damaged = frozenset[str]()
        found = None if folder is None else read_begun(folder)
        if folder is None or found is None:
            self._write_manifest()
            if folder is not None:
                (folder / IMAGE_IDS).unlink(missing_ok=True)  # of a beginning that was killed
        else:
            refuse_changes(folder, found.configuration, json.loads(json.dumps(manifest.configuration)))
            self.manifest = found
            self.changed_environment = differences(found.environment, manifest.environment | found.passes)
            self._read_shards(folder)

    def __enter__(self) -> Self:
        """Hold the run's lock, by which others see that it is going on."""
        if self.folder is not None:
            self._holding.enter_context(locks.shared(self.folder / LOCK))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._holding.close()

    @property
    def finished(self) -> int:
        """How many parts are finished: each stage on each shard is one."""
        return len(self._shards)

    def get(self, position: int, shard: int) -> ShardRecord | None:
        """The record of a shard in the stage at ``position``; None if it is not finished."""
        return self._shards.get((position, shard))

    @contextmanager
    def claim(self, part: str, *, waits: Callable[[], None] | None = None) -> Iterator[bool]:
        """Claim a part of the run, such as the shard ``0003``, so that no other process computes it at the same time.

        The claim ends with the context, or with the process. So a claim of a dead process holds nobody off.

        Args:
            part: its name.
            waits: is called again and again while another process has it, until that one lets go or dies. None: this
                one does not wait.

        Yields:
            Whether this process may compute it. False: another process computes it now.

        Raises:
            InputError: nobody may write in the run's folder.
        """
        if self.folder is None:
            yield True
            return
        with locks.alone(self.folder / CLAIMS / part, waits=waits) as ours:
            yield ours

    def look_again(self, shard: int) -> Collection[str]:
        """See which stages of a claimed shard another process has finished, and remove what a killed one left.

        Returns the names of damaged files that were not damaged, or not there, when this process last looked.
        """
        if self.folder is None:
            return ()
        for folder in (self.folder / SHARDS, self.folder / EXAMPLES, self.folder / SHOWN):
            remove_unfinished(folder, f"*-{shard:04d}.*")
        return self._read_shards(self.folder, f"*-{shard:04d}.json")

    def put(
        self, position: int, record: ShardRecord, found: Examples | None = None, shown: Examples | None = None
    ) -> None:
        """Keep a finished shard, on disk the whole file or none. Its examples are written first.

        Args:
            position: the place of the stage in the run; 0 is the clean stage.
            record: what the stage found out about the shard.
            found: all adversarial examples; they are kept if somebody asked for those of this stage.
            shown: those that are always kept, for the report.
        """
        self._shards[position, record.shard] = record
        if self.folder is None:
            return
        name = shard_files.name(position, record)
        if record.stage in self._keep_examples and found is not None:
            examples.write(self.folder / EXAMPLES / f"{name}{SUFFIX}", found)
        if shown is not None and len(shown.places):
            examples.write(self.folder / SHOWN / f"{name}{SUFFIX}", shown)
        shard_files.write(self.folder, position, record)

    def put_images(self, lines: Iterable[dict[str, Any]]) -> None:
        """Keep a line of JSON for each image."""
        if self.folder is not None:
            documents.write(self.folder, IMAGES, "".join(json.dumps(line) + "\n" for line in lines))

    def set_passes(self, passes: Mapping[str, int]) -> None:
        """Note how many images fit into a pass, so that later shards use the same number, also in another process.

        Args:
            passes: the number for each model, by its name in the environment.
        """
        with self.claim(PASSES, waits=lambda: None):  # or what another process notes meanwhile would be lost
            noted = self.passes
            self.manifest.environment.update({key: min(count, noted.get(key, count)) for key, count in passes.items()})
            self._write_manifest()

    @property
    def passes(self) -> dict[str, int]:
        """How many images fit into a pass. Another process, whose memory is smaller, may have noted fewer."""
        noted = None if self.folder is None else read_manifest(self.folder)
        return (noted or self.manifest).passes

    @property
    def environment(self) -> dict[str, Any]:
        """The machine, the versions and the batch plan, for the answer."""
        return self.manifest.environment | self.passes

    def put_result(self, result: Evaluation) -> None:
        """Keep the answer beside the shards."""
        if self.folder is not None:
            documents.write(self.folder, RESULT, json.dumps(result.to_dict(), indent=2) + "\n")

    @property
    def inspection(self) -> Inspection | None:
        """The inspection that :meth:`put_inspection` kept; None if there is none."""
        try:
            return None if self.folder is None else Inspection.model_validate(documents.read(self.folder, INSPECTION))
        except (OSError, ValueError):
            return None

    def put_inspection(self, inspection: Inspection) -> None:
        """Keep what the gradient of the model is worth."""
        if self.folder is not None:
            documents.write(self.folder, INSPECTION, inspection.model_dump_json() + "\n")

    def put_image_ids(self, ids: Callable[[], list[str]]) -> None:
        """Keep a fingerprint of each image, so that :func:`advtool.compare` recognises a run on the first N images."""
        if self.folder is not None and not (self.folder / IMAGE_IDS).exists():
            documents.write(self.folder, IMAGE_IDS, json.dumps(ids()) + "\n")

    def _write_manifest(self) -> None:
        if self.folder is not None:
            documents.write(self.folder, MANIFEST, self.manifest.model_dump_json(by_alias=True, indent=2) + "\n")

    def _read_shards(self, folder: Path, names: str = "*.json") -> frozenset[str]:
        """Read the shards that are not known yet. Returns the names of files whose damage was not known either."""
        found = shard_files.read(
            folder, self.manifest.configuration, names, known=self._shards, with_examples=self._keep_examples
        )
        self._shards |= found.records
        new = found.damaged - self.damaged
        self.damaged |= new
        return new


def default_folder(root: Path, name: str, asked: dict[str, Any]) -> Path:
    """The folder of a run that was given none. Equal questions have the same folder, different questions their own."""
    return root / f"{name}-{shard_files.checksum(asked)[:8]}"
