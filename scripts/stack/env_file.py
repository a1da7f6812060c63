"""``python3 -m scripts.stack.env_file``: writes ``.env``, with secrets drawn at random. Standard library only."""

from __future__ import annotations

import base64
import os
import re
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent.parent

SECRETS = (
    "POSTGRES_PASSWORD",
    "AIRFLOW_DATABASE_PASSWORD",
    "METADATA_PASSWORD",
    "REDIS_PASSWORD",
    "AIRFLOW_FERNET_KEY",
    "AIRFLOW_SECRET_KEY",
    "AIRFLOW_JWT_SECRET",
    "AIRFLOW_ADMIN_PASSWORD",
)
FERNET_KEY = "AIRFLOW_FERNET_KEY"

_LEAST = 16
_ALLOWED = re.compile(r"[A-Za-z0-9_-]+=*")
_LINE = re.compile(r"^([A-Z][A-Z0-9_]*)=(.*)$")


def draw(name: str) -> str:
    """A new secret for ``name``: 256 random bits, as text that may stand in a URL; Fernet's keys have a form of their
    own."""
    if name == FERNET_KEY:
        return base64.urlsafe_b64encode(os.urandom(32)).decode()
    return secrets.token_urlsafe(32)


def filled(example: str, present: Mapping[str, str]) -> str:
    """The text of ``.env``: ``example`` with the values that are ``present``, and a new secret in each empty place of
    one. What is present and not in the example stays, at the end."""
    lines, told = [], set()
    for line in example.splitlines():
        if found := _LINE.match(line):
            name, default = found[1], found[2]
            told.add(name)
            value = present.get(name) or default or (draw(name) if name in SECRETS else "")
            line = f"{name}={value}"
        lines.append(line)
    lines += [f"{name}={value}" for name, value in present.items() if name not in told]
    return "\n".join(lines) + "\n"


def values(text: str) -> dict[str, str]:
    """The variables of a ``.env`` file."""
    return {found[1]: found[2].strip() for line in text.splitlines() if (found := _LINE.match(line))}


def complaints(environment: Mapping[str, str]) -> list[str]:
    """Why the secrets in ``environment`` are not fit for use, a line for each; a line never holds a secret."""
    found = []
    seen: dict[str, str] = {}
    for name in SECRETS:
        value = environment.get(name, "")
        if len(value) < _LEAST:
            found.append(f"{name} has {len(value)} characters, fewer than {_LEAST}")
        elif not _ALLOWED.fullmatch(value):
            found.append(f"{name} has other characters than letters, digits, - and _: it is a part of URLs")
        elif value in seen:
            found.append(f"{name} is the same as {seen[value]}")
        seen.setdefault(value, name)
    return found


def main() -> int:
    """Writes ``.env`` beside ``.env.example``, for its owner only. Exit code 1 where that can't be done."""
    file = PROJECT / ".env"
    try:
        present = values(file.read_text("utf-8")) if file.exists() else {}
        text = filled((PROJECT / ".env.example").read_text("utf-8"), present)
        draft = PROJECT / ".env.part"
        draft.unlink(missing_ok=True)
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:  # noqa: PTH123
            stream.write(text)
        draft.replace(file)
    except OSError as error:
        print(f"make stack-env: can't write {file}: {error.strerror}", file=sys.stderr)  # noqa: T201
        return 1
    drawn = [name for name in SECRETS if not present.get(name)]
    print(f"{file}: {len(drawn)} secrets drawn, {len(SECRETS) - len(drawn)} kept")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
