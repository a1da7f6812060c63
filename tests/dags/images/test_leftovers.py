"""Which containers in an engine's store are those of one build."""

from __future__ import annotations

import json
from pathlib import Path

from respan.images.leftovers import marked_containers, marking_options, new_mark


def container(store: Path, name: str, state: str | None, driver: str = "overlay") -> None:
    folder = store / f"{driver}-containers" / name / "userdata"
    folder.mkdir(parents=True)
    if state is not None:
        (folder / "buildah.json").write_text(state)


def state_of(*secrets: str) -> str:
    return json.dumps({"CommonBuildOpts": {"Secrets": list(secrets)}})


def test_only_the_containers_that_carry_the_mark_are_found(tmp_path: Path) -> None:
    mark, other = new_mark(), new_mark()
    _, secret = marking_options(mark)
    container(tmp_path, "b-second", state_of("id=token,src=/token", secret))
    container(tmp_path, "a-first", state_of(secret), driver="vfs")
    container(tmp_path, "another-build", state_of(marking_options(other)[1]))
    container(tmp_path, "longer-mark", state_of(f"id={mark}0,src=/dev/null"))
    container(tmp_path, "no-secrets", json.dumps({"CommonBuildOpts": {"Secrets": None}}))
    container(tmp_path, "no-build", None)
    assert marked_containers(tmp_path, mark) == ["a-first", "b-second"]


def test_a_container_whose_state_is_half_written_or_of_another_shape_is_left_alone(tmp_path: Path) -> None:
    mark = new_mark()
    for number, state in enumerate(["", '{"CommonBuildOpts": {"Sec', "[]", '{"CommonBuildOpts": null}']):
        container(tmp_path, str(number), state)
    assert marked_containers(tmp_path, mark) == []


def test_a_store_that_is_not_on_this_machine_has_none(tmp_path: Path) -> None:
    assert marked_containers(tmp_path / "elsewhere", new_mark()) == []
