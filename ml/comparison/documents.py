"""A run's comparison document in storage. Light."""

from __future__ import annotations

from ml import layout
from ml.comparison.records import Comparison
from ml.errors import NotFoundError
from ml.names import safe_id
from ml.storage import Storage


def read_comparison(storage: Storage, run_id: str) -> Comparison | None:
    """The comparison of the run's candidate; None before the run's Comparison is done, and for a run of an earlier
    version of Respan."""
    try:
        return Comparison.from_json(storage.read(layout.run(safe_id(run_id), layout.COMPARISON)))
    except NotFoundError:
        return None
