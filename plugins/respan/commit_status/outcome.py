"""What a run's task states say of its revision."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ml.ci_cd.records import Scope
from respan.commit_status import CommitState


def outcome(
    states: Mapping[str, str | None], tasks: Iterable[str], *, done: str, scope: str = "", reason: str = ""
) -> tuple[CommitState, str]:
    """The revision's state, and one line for people.

    :param states: each task's state in the run; a mapped task counts once for each ``<task>_<index>``.
    :param tasks: the tasks that decide, in the order in which they run; others may fail.
    :param done: the one whose success means that the revision went all the way.
    :param scope: what the change needs (:class:`~ml.ci_cd.records.Scope`); empty where that was not found out.
    :param reason: why that is its scope; part of the line.
    """
    failed = [task for task in tasks if any(state == "failed" for state in _states(states, task))]
    if failed:
        return CommitState.FAILURE, f"failed at {failed[0]}"
    if states.get(done) != "success":
        return CommitState.ERROR, f"ended before {done}: see the run"
    verdict = "nothing to do" if scope == Scope.NONE.value else "done"
    return CommitState.SUCCESS, f"{verdict}: {reason}" if reason else verdict


def _states(states: Mapping[str, str | None], task: str) -> list[str | None]:
    mapped = [
        state for name, state in states.items() if name.startswith(f"{task}_") and name[len(task) + 1 :].isdigit()
    ]
    return [states[task], *mapped] if task in states else mapped
