"""Puts what ``make bench ARGS=decisions`` found into the tables of ``docs/decisions-and-errors.md``: ``make docs``."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from benchmarks.decisions.table import Table, tables

PROJECT = Path(__file__).resolve().parent.parent
PAGE = PROJECT / "docs" / "decisions-and-errors.md"
RESULTS = PROJECT / "benchmarks" / "results.json"

_MARKED = re.compile(r"(<!-- table: (?P<name>\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def with_tables(page: str, found: dict[str, Table]) -> str:
    """The page with each marked table replaced by the one of that name.

    Raises ``ValueError`` for a mark without a table, and for a table that the page has no place for.
    """
    marked = [match["name"] for match in _MARKED.finditer(page)]
    if sorted(marked) != sorted(found):
        raise ValueError(f"the page has the tables {', '.join(sorted(marked))}, the results {', '.join(sorted(found))}")
    return _MARKED.sub(lambda match: f"{match[1]}\n{found[match['name']].markdown()}\n{match[3]}", page)


def decisions_page() -> str:
    """The page as the committed results make it."""
    results = json.loads(RESULTS.read_text("utf-8"))["decisions"]["results"]
    return with_tables(PAGE.read_text("utf-8"), tables(results))


def main() -> None:
    PAGE.write_text(decisions_page(), "utf-8")
    sys.stderr.write(f"wrote {PAGE.relative_to(PROJECT)}\n")


if __name__ == "__main__":
    main()
