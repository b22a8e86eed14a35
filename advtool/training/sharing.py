"""One training on several processes: each takes its part of every batch, and torch averages their gradients."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.overrides import TorchFunctionMode

from advtool.errors import InputError
from advtool.ranks import Ranks

T = TypeVar("T")


class Part(NamedTuple):
    """The images of a batch that a rank trains on, and how much its mean loss weighs.

    The mean of weight times loss over all ranks is the mean loss of the batch.
    """

    rows: slice
    weight: float


def part_of(images: int, ranks: Ranks) -> Part:
    """A rank's part of a batch of that many images: neighbours, as many as the other ranks have, or one more or less.

    If there are fewer images than ranks, some ranks would have none. They take the first one and weigh it with 0:
    every rank must make its pass, or the others wait for its gradients.
    """
    start, end = (images * rank // ranks.world_size for rank in (ranks.rank, ranks.rank + 1))
    if start == end:
        return Part(slice(0, 1), 0.0)
    return Part(slice(start, end), ranks.world_size * (end - start) / images)


class PartOfNoise(TorchFunctionMode):
    """Within it, noise for a part of a batch is drawn for the whole batch, and the rest of it is dropped.

    So every rank's streams stay where those of one process are, and each image gets the same noise on any number of
    ranks. It knows the draws of :mod:`advtool.perturb` and of the PNIL.

    Args:
        images: of the whole batch.
        rows: the part.

    Raises:
        InputError: on a draw for a tensor with another number of rows. Whose noise that is, nobody knows here.
    """

    def __init__(self, images: int, rows: slice) -> None:
        super().__init__()
        self._images, self._rows = images, rows

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        del types
        if func is torch.Tensor.uniform_:
            return args[0].copy_(self._drawn(func, *args, **(kwargs or {})))
        if func is torch.randn_like:
            return self._drawn(func, *args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))

    def _drawn(self, func: Callable[..., Tensor], like: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        own = self._rows.stop - self._rows.start
        if like.shape[:1] != (own,):
            raise InputError(
                f"noise of shape {tuple(like.shape)} cannot be drawn by several ranks, only noise with a row for each "
                f"of the rank's {own} images: train this model and recipe in one process, without torchrun"
            )
        whole = torch.empty((self._images, *like.shape[1:]), dtype=like.dtype, device=like.device)
        return func(whole, *args, **kwargs)[self._rows]


def shared(objective: nn.Module, ranks: Ranks) -> Callable[..., Tensor]:
    """The objective of a batch, computed by all ranks together; of one process alone, the objective itself.

    Args:
        objective: takes a batch, a named tuple of tensors or None with one row for each image, and gives the mean loss.
            Its parameters are replaced by those of rank 0.
        ranks: in one process group.

    Returns:
        Takes the same, and gives the loss of this rank's part times its weight. After its backward pass each rank has
        the gradients of the whole batch.
    """
    if not ranks.are_several:
        return objective
    parallel = DistributedDataParallel(objective)

    def of_part(batch: Any, *args: Any) -> Tensor:
        images = len(batch[0])
        rows, weight = part_of(images, ranks)
        own = type(batch)(*(None if each is None else each[rows] for each in batch))
        with PartOfNoise(images, rows):
            loss: Tensor = parallel(own, *args)
        return weight * loss

    return of_part


def mean_over(ranks: Ranks, value: Tensor) -> Tensor:
    """The mean of a tensor over all ranks."""
    if not ranks.are_several:
        return value
    total = value.clone()
    dist.all_reduce(total)
    return total / ranks.world_size


def equalise_buffers(model: nn.Module, ranks: Ranks) -> None:
    """Give every rank the buffers of rank 0. Each batch norm has seen the images of its own rank alone."""
    if ranks.are_several:
        for buffer in model.buffers():
            dist.broadcast(buffer, 0)


def by_the_first(compute: Callable[[], T], ranks: Ranks) -> T:
    """What ``compute`` gives on rank 0. All others wait for it: a figure that decides must be the same everywhere.

    Raises:
        InputError: on the other ranks, if ``compute`` raises any error on rank 0; with the same words.
    """
    if not ranks.are_several:
        return compute()
    answer: list[Any] = [None, None]
    if ranks.is_first:
        try:
            answer[0] = compute()
        except Exception as error:
            dist.broadcast_object_list([None, str(error) or type(error).__name__])
            raise
    dist.broadcast_object_list(answer)
    given, complaint = answer
    if complaint is not None:
        raise InputError(complaint)
    return given  # type: ignore[no-any-return]


def on_any(value: bool, ranks: Ranks) -> bool:
    """Whether it is true on any rank. Each machine counts its own restarts, for example."""
    return any(_of_all(value, ranks))


def wait_for_all(ranks: Ranks) -> None:
    """Go on when every rank is here."""
    if ranks.are_several:
        dist.barrier()


def check_agreement(value: int | str, ranks: Ranks, complaint: str) -> None:
    """Refuse to go on where the ranks have different values.

    Raises:
        InputError: with the ``complaint``, on every rank.
    """
    values = _of_all(value, ranks)
    if len(set(values)) > 1:
        raise InputError(f"{complaint} (they have {', '.join(map(str, values))})")


def _of_all(value: T, ranks: Ranks) -> list[T]:
    """What every rank has."""
    values: list[Any] = [value] * ranks.world_size
    if ranks.are_several:
        dist.all_gather_object(values, value)
    return values
