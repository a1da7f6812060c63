"""The secrets of the stack: drawn once, each its own, and refused where they are no secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.stack import env_file
from scripts.stack.env_file import FERNET_KEY, SECRETS, complaints, filled, values

PROJECT = Path(__file__).resolve().parents[3]
EXAMPLE = (PROJECT / ".env.example").read_text("utf-8")


def test_every_empty_secret_of_the_example_is_drawn_and_fit_for_use() -> None:
    assert complaints(values(filled(EXAMPLE, {}))) == []


def test_two_draws_differ_in_each_secret() -> None:
    one, other = values(filled(EXAMPLE, {})), values(filled(EXAMPLE, {}))
    assert not [name for name in SECRETS if one[name] == other[name]]


def test_what_is_there_is_kept_also_what_the_example_does_not_know() -> None:
    first = values(filled(EXAMPLE, {}))
    assert values(filled(EXAMPLE, {**first, "RESPAN_PORT": "9000", "MY_OWN": "x"})) == {
        **first,
        "RESPAN_PORT": "9000",
        "MY_OWN": "x",
    }


def test_the_values_of_the_example_are_refused() -> None:
    assert len(complaints(values(EXAMPLE))) == len(SECRETS)


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("short", "has 5 characters"),
        ("with/a/slash/in/the/middle", "has other characters"),
        ("with space in the middle", "has other characters"),
    ],
)
def test_a_weak_or_unusable_secret_is_told_without_its_value(value: str, complaint: str) -> None:
    found = complaints({**values(filled(EXAMPLE, {})), "REDIS_PASSWORD": value})
    assert len(found) == 1
    assert found[0].startswith(f"REDIS_PASSWORD {complaint}")
    assert value not in found[0]


def test_one_secret_for_two_purposes_is_refused() -> None:
    given = values(filled(EXAMPLE, {}))
    assert complaints({**given, "METADATA_PASSWORD": given["REDIS_PASSWORD"]}) == [
        "REDIS_PASSWORD is the same as METADATA_PASSWORD"
    ]


def test_airflow_takes_the_fernet_key() -> None:
    fernet = pytest.importorskip("cryptography.fernet")
    key = fernet.Fernet(env_file.draw(FERNET_KEY).encode())
    assert key.decrypt(key.encrypt(b"a secret")) == b"a secret"


def test_the_file_is_for_its_owner_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(env_file, "PROJECT", tmp_path)
    (tmp_path / ".env.example").write_text(EXAMPLE)
    assert env_file.main() == 0
    first = (tmp_path / ".env").read_text()
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    assert env_file.main() == 0
    assert (tmp_path / ".env").read_text() == first
