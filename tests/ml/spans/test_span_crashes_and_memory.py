from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ml import layout

PROJECT = Path(__file__).resolve().parents[3]
PROGRAM = Path(__file__).with_name("prepare_in_child.py")


def run(*arguments: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, str(PROGRAM), *arguments],
        env={"PYTHONPATH": str(PROJECT), "TF_CPP_MIN_LOG_LEVEL": "3", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def span_files(storage: Path) -> dict[str, str]:
    """The digest of each file of span 1 but those that tell when and from where it was made."""
    folder = storage / "spans/span-1"
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file() and file.name not in (layout.SPAN, layout.SPAN_SAMPLES)
    }


@pytest.mark.slow
def test_killed_before_any_change_on_disk_a_retry_makes_the_same_span_and_nothing_half_made_is_seen(
    tmp_path: Path,
) -> None:
    attempts = run("crash", str(tmp_path))
    *killed, whole = attempts
    assert not whole["killed"]
    assert len(killed) >= 8, "refusals, claim, splits and the span's files are each a change"
    assert all(attempt["killed"] and attempt["retried"] == 0 and attempt["number"] == 1 for attempt in killed)
    expected = span_files(tmp_path / str(len(attempts)))
    assert len(expected) == 3
    for number, attempt in enumerate(killed, 1):
        assert attempt["seen"] in ([], [1])
        assert span_files(tmp_path / str(number)) == expected
        assert [path.name for path in (tmp_path / str(number) / "spans").iterdir()] == ["span-1"]
        assert [path.name for path in (tmp_path / str(number) / "splits").iterdir()] == ["1.bin"]
    assert any(attempt["seen"] == [] for attempt in killed)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_batch(tmp_path: Path) -> None:
    ((small,), (large,)) = (run("weigh", str(tmp_path / count), count) for count in ("1000", "5000"))
    more = 4000 * 64 * 64 * 3 // 1024  # noise doesn't compress: encoded and decoded alike
    assert large["peak_kib"] - small["peak_kib"] < more / 2
