"""What programs leave in an inbox: hidden files and known ones are never samples."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ml import layout
from ml.audit import audit
from ml.batches import read_manifest, write_lines
from ml.clutter import describe_clutter, is_clutter
from ml.commands.batch import batch as batch_command
from ml.data_sufficiency import Requirement, Stock
from ml.errors import DataError
from ml.freezing import freeze
from ml.home import pipeline_storage
from ml.inbox import count, take_stock
from ml.kinds.image_classification.kind import KIND
from ml.kinds.semantic_segmentation.kind import KIND as MASKS
from ml.records import Batch, ManifestEntry, OpenBatch, now
from ml.settings import Settings
from ml.settling import settle
from ml.storage import ABSENT, Storage
from tests.unit.data.collecting import collect, names

CLUTTER = (
    ".ipynb_checkpoints/a-checkpoint.png",
    "3/.ipynb_checkpoints/a-checkpoint.png",
    "3/._a.png",
    "3/.DS_Store",
    ".DS_Store",
    "3/Thumbs.db",
    "3/THUMBS.DB",
    "3/desktop.ini",
    "__MACOSX/3/a.png",
    "3/@eaDir/a.png",
    "$RECYCLE.BIN/a.png",
)


@pytest.mark.parametrize("name", [*CLUTTER, ".a.png", "System Volume Information/IndexerVolumeGuid"])
def test_what_begins_with_a_dot_and_the_known_names_are_clutter(name: str) -> None:
    assert is_clutter(name)


@pytest.mark.parametrize(
    "name", ["3/a.png", "../a.png", "3/./a.png", "a..png", "3/thumbs.db.png", "macosx/a.png", "", "a/"]
)
def test_any_other_name_is_not_clutter(name: str) -> None:
    assert not is_clutter(name)


def test_clutter_is_neither_counted_nor_frozen_nor_moved_and_is_named_once(
    storage: Storage, settings: Settings
) -> None:
    collect(storage, "3/a.png", *CLUTTER)
    assert count(storage, KIND, 100) == 1
    assert take_stock(storage, KIND, Requirement(9, 5)) == Stock(1, {"3": 1})
    batch = freeze(storage, settings, "run 1")
    assert (batch.samples, batch.refused, batch.ignored, batch.ignored_example) == (1, 0, len(CLUTTER), min(CLUTTER))
    assert [entry.object for entry in read_manifest(storage, batch.id)] == ["3/a.png"]
    settle(storage, batch.id)
    assert names(storage, "inbox") == set(CLUTTER)
    found = audit(storage, KIND)
    assert (found.balanced, found.collected, found.inbox, found.ignored) == (True, 1, 0, len(CLUTTER))


def test_clutter_beside_images_and_masks_belongs_to_no_sample(storage: Storage, cells: Settings) -> None:
    clutter = (
        "images/._a.png",
        "masks/._a.png",
        "images/.ipynb_checkpoints/a.png",
        ".DS_Store",
        "__MACOSX/masks/b.png",
    )
    collect(storage, "images/a.png", "masks/a.png", *clutter)
    assert count(storage, MASKS, 10) == 1
    batch = freeze(storage, cells, "run 1")
    assert (batch.samples, batch.refused, batch.incomplete, batch.ignored) == (1, 0, 0, len(clutter))
    settle(storage, batch.id)
    assert names(storage, "inbox") == set(clutter)
    found = audit(storage, MASKS)
    assert (found.collected, found.incomplete, found.ignored) == (1, 0, len(clutter))


def test_an_inbox_of_clutter_alone_has_no_sample_and_the_message_says_why(storage: Storage, settings: Settings) -> None:
    collect(storage, "3/.DS_Store")
    with pytest.raises(DataError, match=r"no sample.*1 hidden or system file is ignored in the inbox, such as '3/\.DS"):
        freeze(storage, settings, "run 1")


def test_clutter_that_an_older_version_froze_is_accounted_for(storage: Storage) -> None:
    collect(storage, "3/.a.png")
    info = storage.stat(layout.inbox("3/.a.png"))
    entry = ManifestEntry(index=0, object="3/.a.png", generation=info.generation, size=info.size, crc32c="", label="3")
    write_lines(storage, layout.batch("old-00000000", layout.MANIFEST), [entry])
    record = Batch(id="old-00000000", pipeline="digits", frozen=now(), samples=1, refused=0)
    storage.write(layout.batch("old-00000000", layout.BATCH), record.to_json())
    storage.write(layout.OPEN_BATCH, OpenBatch(batch="old-00000000", since=now()).to_json(), if_generation=ABSENT)
    found = audit(storage, KIND)
    assert (found.balanced, found.batch, found.ignored) == (True, 1, 0)
    settle(storage, "old-00000000")
    found = audit(storage, KIND)
    assert (found.balanced, found.archived, found.ignored) == (True, 1, 0)


def test_one_line_says_how_many_and_names_one() -> None:
    assert describe_clutter(1, ".x") == "1 hidden or system file is ignored in the inbox, such as '.x'"
    assert describe_clutter(1234, None) == "1,234 hidden or system files are ignored in the inbox"


def test_the_freeze_names_ignored_files_and_near_equal_labels_once_each_where_airflow_logs_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RESPAN_HOME", str(tmp_path))
    monkeypatch.delenv("RESPAN_STORAGE", raising=False)
    pipeline = "image_classification"
    collect(pipeline_storage(pipeline), "cat/a.png", "cat /b.png", "Cat/c.png", "cat/.DS_Store", "cat/._a.png")

    def called(*arguments: str) -> tuple[str, str]:
        batch_command.main([*arguments], standalone_mode=False)
        out, err = capsys.readouterr()
        return out, err

    printed, logged = called("freeze", pipeline, "--run-id", "first", "--json")
    document = json.loads(printed)
    assert (document["samples"], document["ignored"], len(document["warnings"])) == (3, 2, 2)
    assert logged.splitlines() == [
        "2 hidden or system files are ignored in the inbox, such as 'cat/.DS_Store'",
        *(f"warning: {warning}" for warning in document["warnings"]),
    ]
    shown, _ = called("show", pipeline, document["batch"])
    assert all(warning in shown for warning in (*document["warnings"], "2 hidden or system files are ignored"))
