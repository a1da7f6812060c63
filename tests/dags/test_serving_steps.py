"""From any state of an endpoint to the traffic that is wanted, without ever taking it from what runs."""

from __future__ import annotations

from itertools import combinations

import pytest
from respan.vertex.endpoint import CreateEndpoint, Deploy, EndpointState, ShiftTraffic, Undeploy, next_step

STATES = [
    None,
    EndpointState(frozenset()),
    EndpointState(frozenset("1"), {"1": 100}),
    EndpointState(frozenset("12"), {"1": 100}),
    EndpointState(frozenset("12"), {"1": 90, "2": 10}),
    EndpointState(frozenset("123"), {"1": 50, "2": 30, "3": 20}),
    EndpointState(frozenset("12"), {"1": 100, "2": 0}),
    EndpointState(frozenset("1")),
]
WANTED = [{1: 100}, {2: 100}, {1: 90, 2: 10}, {1: 60, 2: 30, 3: 10}]


def after(state: EndpointState | None, step: object) -> EndpointState:
    """What the service makes of it; refuses what would take traffic from what runs."""
    if isinstance(step, CreateEndpoint):
        assert state is None
        return EndpointState(frozenset())
    assert state is not None
    if isinstance(step, Deploy):
        assert str(step.version) not in state.deployed
        assert not (step.serves_at_once and state.traffic)
        traffic = {str(step.version): 100} if step.serves_at_once else state.traffic
        return EndpointState(state.deployed | {str(step.version)}, traffic)
    if isinstance(step, ShiftTraffic):
        assert set(step.traffic) <= state.deployed
        return EndpointState(state.deployed, step.traffic)
    assert isinstance(step, Undeploy)
    assert not state.traffic.get(step.deployed_id)
    return EndpointState(state.deployed - {step.deployed_id}, state.traffic)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("wanted", WANTED)
def test_the_steps_lead_there_and_traffic_is_always_whole(state: EndpointState | None, wanted: dict[int, int]) -> None:
    served = bool(state and state.traffic)
    for _ in range(10):
        step = next_step(state, wanted)
        if step is None:
            break
        state = after(state, step)
        served = served or bool(state.traffic)
        if served:
            assert sum(state.traffic.values()) == 100
    assert state is not None
    assert {version: share for version, share in state.traffic.items() if share} == {
        str(version): share for version, share in wanted.items()
    }
    assert state.deployed == {str(version) for version in wanted}


def test_what_is_left_is_undeployed_last() -> None:
    steps = []
    state: EndpointState | None = EndpointState(frozenset("14"), {"1": 100})
    while step := next_step(state, {2: 50, 3: 50}):
        steps.append(type(step))
        state = after(state, step)
    assert steps == [Deploy, Deploy, ShiftTraffic, Undeploy, Undeploy]
    assert all(first is not Undeploy or second is Undeploy for first, second in combinations(steps, 2))
