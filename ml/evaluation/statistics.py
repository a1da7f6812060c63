"""What the samples of a batch are like, as the kind's inspector finds: statistics for drift, and contents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from ml.evaluation.binning import Column
from ml.evaluation.objects import Instance, read_object
from ml.kinds.kind import Collected, Inspected, Inspector, Kind, Part, Refused
from ml.parallel import map_ahead
from ml.storage import Storage

#: Samples read ahead of the inspector; they are in memory meanwhile.
_AHEAD = 32


def inspect_samples(
    storage: Storage, batch: str, kind: Kind, inspector: Inspector, samples: Iterable[Sequence[Instance]]
) -> Iterator[list[Inspected | Refused]]:
    """What the inspector finds of each sample, in order, part by part; one that vanished is refused.

    Each sample is given by its objects, in the order of the kind's roles.
    """

    def collect(objects: Sequence[Instance]) -> Collected | Refused:
        data = [found for one in objects if (found := read_object(storage, batch, one)) is not None]
        if len(data) < len(objects):
            return Refused("it vanished")
        part = kind.part_of(objects[0].object)
        return Collected(tuple(data), part.label if isinstance(part, Part) else None)

    return inspector.inspect(map_ahead(collect, samples, ahead=_AHEAD))


def sample_statistics(
    storage: Storage, batch: str, kind: Kind, inspector: Inspector, samples: Sequence[Sequence[Instance]]
) -> dict[str, Column]:
    """Samples' statistics as float32 columns by the inspector's names, in the samples' order; empty without any sample.

    One that vanished or that the kind refuses is left out: it does not belong to the distribution.
    """
    names = inspector.columns
    rows = [
        found.statistics
        for part in inspect_samples(storage, batch, kind, inspector, samples)
        for found in part
        if isinstance(found, Inspected)
    ]
    if not rows:
        return {}
    table = np.frombuffer(b"".join(rows), np.float32).reshape(len(rows), len(names))
    return {name: table[:, position] for position, name in enumerate(names)}
