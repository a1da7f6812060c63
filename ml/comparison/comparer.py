"""What the comparison of two models asks of a kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from ml.comparison.evidence import Evidence
    from ml.kinds.kind import Refused


class Comparer(Protocol):
    """Adds up how the answers of two models to the same examples compare with the truth."""

    @property
    def collected(self) -> str:
        """The feature of an example that holds the sample as it was collected, which models are asked with."""

    def add(self, example: Any, candidate: Any | Refused, champion: Any | Refused) -> None:
        """Counts one ``tf.train.Example``. The answers are as ``Serving.answers`` makes them; one that is ``Refused``
        is wrong. Raises ``ValueError`` for an answer that can't be compared."""

    def evidence(self, max_loss: float, error_rate: float) -> Evidence | None:
        """What was added says, for ``ml.comparison.gate``; None without anything to compare."""
