"""The sets of scenes that the demo collects."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.demo_scenes import write_sets

SETS = ("first", "shifted", "fresh", "holdout/plain", "holdout/shifted")


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


@pytest.mark.slow
def test_each_set_has_scenes_of_its_own_and_the_holdout_shows_the_same_through_both_cameras(tmp_path: Path) -> None:
    written = write_sets(tmp_path, seed=20)
    images, masks = ({name: contents(tmp_path / name / part) for name in SETS} for part in ("images", "masks"))
    assert {name: len(shown) for name, shown in images.items()} == written
    assert all(images[name].keys() == masks[name].keys() for name in SETS)
    assert masks["holdout/plain"] == masks["holdout/shifted"]
    assert all(images["holdout/plain"][file] != shown for file, shown in images["holdout/shifted"].items())
    collected = [name for shown in (images["first"], images["shifted"], images["fresh"]) for name in shown]
    assert len(collected) == len(set(collected)), "they all lie in one inbox, or have lain there"
