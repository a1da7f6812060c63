"""Names on disk are UTF-8, whatever the locale says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ml.home import PROJECT
from ml.storage.local import LocalStorage
from ml.warm.environment import command_environment

PIPELINE = "image_classification"
LABELS = ("B\u00e4r", "\u65e5\u672c", "caf\u00e9")
NOT_UTF8 = b"caf\xe9"

#: Reads, writes and moves by name in a process like one of Airflow's, and prints the names of a listing.
PROGRAM = """
import json, sys
from pathlib import Path
from ml.storage.local import LocalStorage
assert sys.getfilesystemencoding() != "utf-8"
storage = LocalStorage(Path(sys.argv[1]))
found = sorted(info.name for info in storage.list())
for name in found:
    storage.move(name, f"moved/{name}", generation=storage.stat(name).generation)
    storage.write(f"written/{name}", storage.read(f"moved/{name}"))
print(json.dumps({"list": found, "folders": storage.folders("moved")}))
"""


@pytest.fixture(params=["ASCII", "Latin-1"])
def elsewhere(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """The environment of a process whose locale is not UTF-8."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG"))}
    environment = {**kept, "PYTHONPATH": str(PROJECT), "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
    if request.param == "ASCII":
        return environment
    if (localedef := shutil.which("localedef")) is None:
        pytest.skip("localedef, which makes the locale, is not installed")
    made = tmp_path / "locales" / "en_US.ISO-8859-1"
    made.parent.mkdir()
    subprocess.run([localedef, "-i", "en_US", "-f", "ISO-8859-1", made], check=True)
    return {**environment, "LC_ALL": made.name, "LOCPATH": str(made.parent)}


def test_a_listing_gives_and_finds_names_as_they_are_in_utf_8(elsewhere: dict[str, str], tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path / "inbox")
    for label in (*map(str.encode, LABELS), NOT_UTF8):
        there = Path(os.fsdecode(folder + b"/" + label))
        there.mkdir(parents=True)
        (there / "a.png").write_bytes(label)
    here = sorted(info.name for info in LocalStorage(tmp_path / "inbox").list())
    program = [sys.executable, "-c", PROGRAM, str(tmp_path / "inbox")]
    done = subprocess.run(program, env=elsewhere, check=True, capture_output=True)
    printed = json.loads(done.stdout)
    assert printed["list"] == here
    assert {f"{label}/a.png" for label in LABELS} < set(here)
    storage = LocalStorage(tmp_path / "inbox")
    assert sorted(info.name for info in storage.list("written")) == [f"written/{name}" for name in here]
    assert sorted(storage.folders("moved")) == sorted(printed["folders"])
    assert (tmp_path / "inbox" / "written" / "B\u00e4r" / "a.png").read_bytes() == "B\u00e4r".encode()


def test_a_command_speaks_utf_8_in_any_locale(elsewhere: dict[str, str], tmp_path: Path) -> None:
    for label in LABELS:
        (tmp_path / "storage" / PIPELINE / "inbox" / label).mkdir(parents=True)
        (tmp_path / "storage" / PIPELINE / "inbox" / label / "\u00fc.png").write_bytes(label.encode())

    def respan(*arguments: str) -> str:
        command = [sys.executable, "-m", "ml", *arguments]
        done = subprocess.run(
            command, env={**elsewhere, "RESPAN_HOME": str(tmp_path)}, check=False, capture_output=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.decode()

    batch = json.loads(respan("batch", "freeze", PIPELINE, "--run-id", "Gr\u00fc\u00dfe", "--json"))
    assert (batch["samples"], batch["refused"]) == (3, 0)
    shown = respan("batch", "show", PIPELINE, "Gr\u00fc\u00dfe")
    assert all(f"  {label} " in shown for label in LABELS)
    manifest = tmp_path / "storage" / PIPELINE / "batches" / batch["batch"] / "manifest.jsonl"
    assert {json.loads(line)["label"] for line in manifest.read_bytes().splitlines()} == set(LABELS)


def test_what_airflow_and_the_warm_process_start_speaks_utf_8() -> None:
    assert command_environment({"LC_ALL": "en_US.ISO-8859-1", "PYTHONUTF8": "0"})["PYTHONUTF8"] == "1"
