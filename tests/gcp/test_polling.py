"""The shared look at pipeline jobs, with nothing of Airflow's triggerer around it."""

from __future__ import annotations

import asyncio
import gc
import os
from contextlib import AsyncExitStack
from typing import Any

import pytest
from respan.vertex import polling
from respan.vertex.job_report import State, report

from tests.gcp.faults import Fault
from tests.gcp.training_runs import GET, Runs

pytest_plugins = ["tests.gcp.training_fixtures"]

CONNECTION = "google_cloud_default"


async def state(poll: polling.JobPoll) -> State:
    """The job's state in the poll's newest look."""
    _, look = await poll.after(0)
    assert not look.trouble, look.trouble
    return report(look.job).state


def test_all_who_watch_a_job_share_one_poll_that_ends_with_the_last(runs: Runs) -> None:
    runs.script.hold("Trainer")
    job = runs.start()

    async def watched() -> None:
        async with AsyncExitStack() as stack:
            polls = [await stack.enter_async_context(polling.watch(job, CONNECTION, 0.02)) for _ in range(9)]
            assert len(set(map(id, polls))) == 1
            async with polling.watch(job, CONNECTION, 0.02) as another:
                assert another is polls[0]
            assert [await state(poll) for poll in polls] == [State.RUNNING] * 9
        assert _background() == set()
        runs.cloud.calls.clear()
        await asyncio.sleep(0)
        assert runs.calls(GET) == 0

    asyncio.run(watched())


def test_a_poll_ends_when_its_job_has_and_tells_the_end_to_who_comes_later(runs: Runs) -> None:
    job = runs.start()

    async def watched() -> None:
        async with polling.watch(job, CONNECTION, 0.0001) as poll:
            assert await state(poll) is State.SUCCEEDED
            before = runs.calls(GET)
            async with polling.watch(job, CONNECTION, 0.0001) as later:
                assert await state(later) is State.SUCCEEDED
            assert runs.calls(GET) == before

    asyncio.run(watched())


def test_a_look_that_tells_nothing_new_wakes_nobody(runs: Runs) -> None:
    runs.script.hold("Trainer")
    job = runs.start()

    async def watched() -> int:
        async with polling.watch(job, CONNECTION, 0.005) as poll:
            await asyncio.to_thread(runs.cloud.calls.wait_for, GET, runs.calls(GET) + 5)
            count, _ = await poll.after(0)
            return count

    assert asyncio.run(watched()) == 1


def test_jobs_of_one_connection_and_region_share_a_channel(runs: Runs) -> None:
    runs.script.hold("Trainer")
    job = runs.start()
    runs.cloud.calls.clear()

    async def watched() -> None:
        async with AsyncExitStack() as stack:
            names = [job, *(f"{job}0{number}" for number in range(20))]
            polls = [await stack.enter_async_context(polling.watch(name, CONNECTION, 0.02)) for name in names]
            looks = [(await poll.after(0))[1] for poll in polls]
        assert [look.refused for look in looks] == [False] + [True] * 20

    asyncio.run(watched())
    assert len(runs.cloud.calls.of("oauth2.token")) <= 1


def test_a_loop_of_its_own_gets_a_poll_of_its_own(runs: Runs) -> None:
    job = runs.start()

    async def watched() -> State:
        async with polling.watch(job, CONNECTION, 0.02) as poll:
            return await state(poll)

    assert [asyncio.run(watched()) for _ in range(2)] == [State.SUCCEEDED] * 2


def test_nobody_is_told_of_a_cancelled_watcher(runs: Runs) -> None:
    runs.script.hold("Trainer")
    job = runs.start()

    async def watched() -> None:
        async with polling.watch(job, CONNECTION, 0.005) as poll:
            other = asyncio.create_task(_watch_for_ever(job))
            await poll.after(0)
            other.cancel()
            await asyncio.gather(other, return_exceptions=True)
            runs.script.finish("Trainer")
            count = 0
            while True:
                count, look = await poll.after(count)
                if report(look.job).state is State.SUCCEEDED:
                    return

    asyncio.run(watched())


def test_trouble_is_told_and_goes_away(runs: Runs) -> None:
    runs.script.hold("Trainer")
    job = runs.start()
    runs.cloud.faults.add(GET, Fault.UNAVAILABLE, times=2)

    async def watched() -> list[str]:
        async with polling.watch(job, CONNECTION, 0.005) as poll:
            count, first = await poll.after(0)
            _, second = await poll.after(count)
            return [first.trouble, second.trouble]

    first, second = asyncio.run(watched())
    assert "Google Cloud is in trouble" in first
    assert second == ""


@pytest.mark.parametrize(
    ("connection", "told"),
    [
        ("nowhere", "there is no Airflow connection 'nowhere': add it"),
        ("broken", "Airflow connection 'broken' can't be used"),
    ],
)
def test_a_connection_that_is_of_no_use_ends_the_wait(
    runs: Runs, monkeypatch: pytest.MonkeyPatch, connection: str, told: str
) -> None:
    job = runs.start()
    monkeypatch.setenv("AIRFLOW_CONN_BROKEN", "google-cloud-platform://?keyfile_dict=no-json")

    async def watched() -> Any:
        async with polling.watch(job, connection, 0.005) as poll:
            return (await poll.after(0))[1]

    look = asyncio.run(watched())
    assert look.refused
    assert told in look.trouble


def test_the_loop_goes_on_while_hooks_and_credentials_are_had(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection is read from a pipe that nobody has written to yet."""
    from airflow.providers.google.common.hooks.base_google import GoogleBaseHook

    job = runs.start()
    real = GoogleBaseHook.get_credentials
    reading, writing = os.pipe()

    def slow(hook: Any) -> Any:
        os.read(reading, 1)
        return real(hook)

    monkeypatch.setattr(GoogleBaseHook, "get_credentials", slow)

    async def watched() -> State:
        async with polling.watch(job, CONNECTION, 0.02) as poll:
            looking = asyncio.create_task(state(poll))
            for _ in range(100):
                await asyncio.sleep(0)
            assert not looking.done()
            os.write(writing, b"go on, all of you")
            return await looking

    assert asyncio.run(watched()) is State.SUCCEEDED
    os.close(reading)
    os.close(writing)


async def _watch_for_ever(job: str) -> None:
    async with polling.watch(job, CONNECTION, 0.005) as poll:
        count = 0
        while True:
            count, _ = await poll.after(count)


def _background() -> set[Any]:
    """What else runs in this loop."""
    gc.collect()
    return {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}
