"""``python find_columns.py FOLDER`` writes ``columns.py``: the keys of the first row in ``FOLDER``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

HEAD = '"""The columns of a row, in the order in which the model gets them. Written by ``find_columns.py``."""'


def columns_in(folder: Path) -> list[str]:
    """The keys of the first row in ``folder``, by the files' names, in their order.

    Exits with a one-line message if there is no row, or if the first row is not an object of numbers.
    """
    files = sorted(folder.rglob("*.json"))
    if not files:
        sys.exit(f"{folder} holds no file *.json: name the folder that your rows are in")
    try:
        row = json.loads(files[0].read_text("utf-8"))
    except ValueError as error:
        sys.exit(f"{files[0]} is not JSON: {error}")
    if not isinstance(row, dict) or not row:
        sys.exit(f'{files[0]} is not a row: write one JSON object of numbers, such as {{"width": 1.5}}')
    others = [name for name, value in row.items() if isinstance(value, bool) or not isinstance(value, int | float)]
    if others:
        sys.exit(f"{files[0]}: {json.dumps(others[0])} is not a number: write one in each row, or leave it out")
    return list(row)


def module_of(columns: list[str]) -> str:
    """The source of ``columns.py``. A name is written as JSON writes it, which Python reads in the same way."""
    lines = "".join(f"    {json.dumps(name, ensure_ascii=False)},\n" for name in columns)
    return f"{HEAD}\n\nCOLUMNS: tuple[str, ...] = (\n{lines})\n"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python find_columns.py FOLDER")
    Path(__file__).with_name("columns.py").write_text(module_of(columns_in(Path(sys.argv[1]))), "utf-8")
