"""What happens to open batches in a random life of a pipeline's data."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from ml.batches import open_batch, read_manifest, write_refusals
from ml.records import Refusal
from ml.settling import return_batch, settle
from ml.storage import Storage


class LifeOfBatches(RuleBasedStateMachine):
    """A subclass sets ``storage`` and freezes batches, which here have refusals and end."""

    storage: Storage

    @precondition(lambda self: open_batch(self.storage) is not None)
    @rule(share=st.integers(1, 3))
    def refuse(self, share: int) -> None:
        held = open_batch(self.storage)
        assert held is not None
        refusals = (
            Refusal(index=e.index, object=e.object, generation=e.generation, reason="broken")
            for e in read_manifest(self.storage, held.batch)
            if e.index % share == 0
        )
        write_refusals(self.storage, held.batch, "predict", refusals)

    @precondition(lambda self: open_batch(self.storage) is not None)
    @rule(how=st.sampled_from(["settle", "return", "return refused"]))
    def end(self, how: str) -> None:
        held = open_batch(self.storage)
        assert held is not None
        if how == "settle":
            settle(self.storage, held.batch)
        else:
            return_batch(self.storage, held.batch, quarantine_refused=how == "return refused")
