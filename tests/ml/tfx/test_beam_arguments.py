"""How Beam is told to run on this machine."""

from __future__ import annotations

from tfx.utils import dependency_utils

from ml.tfx.factory import BEAM_ARGUMENTS


def test_tfx_does_not_pack_its_own_sources_for_workers_that_are_not_there() -> None:
    assert dependency_utils.make_beam_dependency_flags(BEAM_ARGUMENTS) == BEAM_ARGUMENTS
