"""Who may process a revision that another run has claimed."""

from __future__ import annotations

import pytest
from respan.git_revision import refusal

REVISION = "a" * 40


def refused(state: str | None, *, asked: bool = True, again: bool = False) -> str | None:
    return refusal(REVISION, "p.ci_cd/one", state, asked=asked, again=again)


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("asked", [False, True])
@pytest.mark.parametrize("state", ["queued", "running"])
def test_nobody_takes_a_revision_from_a_run_that_works_on_it(state: str, asked: bool, again: bool) -> None:
    assert refused(state, asked=asked, again=again)


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("state", ["failed", None])
def test_what_failed_or_is_gone_is_only_for_who_asks_for_it(state: str | None, again: bool) -> None:
    assert refused(state, asked=True, again=again) is None
    assert refused(state, asked=False, again=again)


@pytest.mark.parametrize(
    ("asked", "again", "allowed"), [(True, True, True), (True, False, False), (False, True, False)]
)
def test_what_succeeded_is_only_for_who_asks_for_it_again(asked: bool, again: bool, allowed: bool) -> None:
    assert (refused("success", asked=asked, again=again) is None) == allowed


@pytest.mark.parametrize("state", ["queued", "running", "success", "failed", None])
def test_the_reason_is_one_line_that_names_the_revision_the_holder_and_what_to_do(state: str | None) -> None:
    reason = refused(state, asked=False)
    assert reason is not None
    assert "\n" not in reason
    assert REVISION in reason
    assert "p.ci_cd/one" in reason
    assert ("push a new commit" in reason) == (state in ("failed", None))
