"""The trigger against real repositories and a real local storage."""

from __future__ import annotations

import asyncio
import json
import pkgutil
import time
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.serialization.serialized_objects import DagSerialization
from airflow.triggers.base import TriggerEvent
from respan import assets
from respan.triggers.git_revision import GitRemoteTrigger, GitRevisionTrigger

from ml.ci_cd.revisions import claim
from ml.home import pipeline_storage
from tests.dags.ci_cd.git_remote import GitRemote
from tests.dags.ci_cd.watched import processed, settings_of

pytestmark = pytest.mark.usefixtures("settings")

#: Long enough for a few looks, each of which starts git.
_SOME_LOOKS = 0.5


class Watching:
    """A running trigger and what it told."""

    def __init__(self, events: AsyncIterator[TriggerEvent]) -> None:
        self._told: asyncio.Queue[Any] = asyncio.Queue()
        self._task = asyncio.ensure_future(self._collect(events))

    async def _collect(self, events: AsyncIterator[TriggerEvent]) -> None:
        async for event in events:
            self._told.put_nowait(event.payload)

    async def next(self) -> Any:
        """The next event, one that nobody has looked at."""
        return await asyncio.wait_for(self._told.get(), timeout=120)

    async def nothing_comes(self) -> None:
        await asyncio.sleep(_SOME_LOOKS)
        assert self._told.empty()
        assert not self._task.done()

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


def event(revision: str, branch: str = "main") -> dict[str, str]:
    return {"pipeline": "watched", "branch": branch, "revision": revision}


def watch(scenario: Any, branch: str | None = None) -> None:
    """Runs ``scenario`` with a watching trigger."""

    async def watched() -> None:
        watching = Watching(GitRevisionTrigger("watched", branch).run())
        try:
            await scenario(watching)
        finally:
            await watching.stop()

    asyncio.run(watched())


def test_each_new_revision_is_told_once(remote: GitRemote) -> None:
    first = remote.push()

    async def scenario(watching: Watching) -> None:
        assert await watching.next() == event(first)
        await watching.nothing_comes()
        second = await asyncio.to_thread(remote.push)
        assert await watching.next() == event(second)

    watch(scenario)


def test_several_pushes_between_two_looks_are_one_event_with_the_newest(remote: GitRemote) -> None:
    revisions = [remote.push() for _ in range(3)]

    async def scenario(watching: Watching) -> None:
        assert await watching.next() == event(revisions[-1])
        await watching.nothing_comes()

    watch(scenario)


def test_neither_a_processed_nor_a_claimed_revision_is_told(remote: GitRemote) -> None:
    processed(remote.push())

    async def scenario(watching: Watching) -> None:
        await watching.nothing_comes()
        claimed = await asyncio.to_thread(remote.push, "elsewhere")
        claim(pipeline_storage("watched"), claimed, run="another")
        remote.reset(claimed)
        await watching.nothing_comes()
        new = await asyncio.to_thread(remote.push)
        assert await watching.next() == event(new)

    watch(scenario)


def test_another_branch_than_the_settings_can_be_watched(remote: GitRemote) -> None:
    remote.push()
    featured = remote.push("feature/x")

    async def scenario(watching: Watching) -> None:
        assert await watching.next() == event(featured, "feature/x")

    watch(scenario, branch="feature/x")


def test_changed_settings_count_for_who_watches_already(remote: GitRemote, settings: Path) -> None:
    remote.push()

    async def scenario(watching: Watching) -> None:
        await watching.next()
        other = await asyncio.to_thread(remote.push, "other")
        await watching.nothing_comes()
        settings.write_text(settings_of(remote, branch="other"))
        assert await watching.next() == event(other, "other")

    watch(scenario)


def test_it_waits_for_an_empty_repository_and_outlives_outages_and_settings_half_edited(
    remote: GitRemote, settings: Path
) -> None:
    async def scenario(watching: Watching) -> None:
        await watching.nothing_comes()
        told, pushed = await asyncio.gather(watching.next(), asyncio.to_thread(remote.push))
        assert told == event(pushed)
        remote.vanish()
        await watching.nothing_comes()
        remote.return_()
        settings.write_text("kind: [")
        await watching.nothing_comes()
        settings.write_text(settings_of(remote))
        new = await asyncio.to_thread(remote.push)
        assert await watching.next() == event(new)

    watch(scenario)


def test_it_outlives_documents_that_are_damaged(remote: GitRemote) -> None:
    processed(remote.push())
    storage = pipeline_storage("watched")
    [document] = [info.name for info in storage.list("revisions/branches")]
    kept = storage.read(document)
    storage.write(document, b"{")

    async def scenario(watching: Watching) -> None:
        await watching.nothing_comes()
        storage.write(document, kept)
        new = await asyncio.to_thread(remote.push)
        assert await watching.next() == event(new)

    watch(scenario)


def test_an_outage_is_logged_once(remote: GitRemote, capsys: pytest.CaptureFixture[str]) -> None:
    remote.vanish()
    watch(lambda watching: watching.nothing_comes())
    assert capsys.readouterr().out.count("can't tell: ") == 1


def remote_event(until: float) -> Coroutine[Any, Any, Any]:
    async def first() -> Any:
        return (await asyncio.wait_for(anext(GitRemoteTrigger("watched", None, until).run()), timeout=60)).payload

    return first()


def test_waiting_for_a_remote_ends_when_it_answers(remote: GitRemote) -> None:
    remote.push()
    remote.vanish()
    until = time.time() + 60

    async def scenario() -> None:
        waiting = asyncio.ensure_future(remote_event(until))
        await asyncio.sleep(_SOME_LOOKS)
        assert not waiting.done()
        remote.return_()
        assert await waiting == {"until": until}

    asyncio.run(scenario())


def test_waiting_for_a_remote_ends_when_its_time_is_up(remote: GitRemote) -> None:
    remote.vanish()
    told = asyncio.run(remote_event(time.time() + 0.1))
    assert "\n" not in told["error"]
    assert str(remote.path) in told["error"]


def test_waiting_for_a_remote_ends_when_only_the_branch_is_missing(remote: GitRemote) -> None:
    """The task looks again, and says so."""
    assert "error" not in asyncio.run(remote_event(time.time() + 60))


def test_the_asset_is_stored_and_its_trigger_started_again_as_airflow_does(remote: GitRemote) -> None:
    with DAG(dag_id="watching", schedule=[assets.revision("watched")]) as dag:
        pass
    document = json.loads(json.dumps(DagSerialization.to_dict(dag)))
    [(_, stored)] = DagSerialization.from_dict(document).timetable.asset_condition.iter_assets()
    assert (stored.name, stored.uri) == ("watched.revision", "x-respan://watched/revision")
    [watcher] = stored.watchers
    again = pkgutil.resolve_name(watcher.trigger["classpath"])(**watcher.trigger["kwargs"])
    assert isinstance(again, GitRevisionTrigger)
    revision = remote.push()

    async def scenario() -> None:
        told = await asyncio.wait_for(anext(again.run()), timeout=60)
        assert told.payload == event(revision)

    asyncio.run(scenario())
