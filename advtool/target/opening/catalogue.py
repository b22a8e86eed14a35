"""The models that can be named, for ``advtool models``."""

from advtool import docstrings
from advtool.models import ARCHITECTURES
from advtool.results import ArchitectureInfo, ModelKind, Models
from advtool.target.opening.extras import is_installed
from advtool.target.opening.kinds import KINDS


def catalogue() -> Models:
    """The architectures that ``advtool train`` knows, and the kinds of MODEL."""
    return Models(
        architectures=[
            ArchitectureInfo(
                name=name,
                purpose=docstrings.purpose(entry.factory),
                source=docstrings.source(entry.factory),
                smallest_side=entry.smallest,
            )
            for name, entry in ARCHITECTURES.items()
        ],
        kinds=[
            ModelKind(
                written=kind.written,
                what=kind.what,
                weights=kind.weights,
                takes_arguments=kind.takes_arguments,
                extra=kind.extra,
                installed=all(map(is_installed, kind.packages)),
            )
            for kind in KINDS
        ],
    )
