from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.decisions.table import Table
from scripts import decisions_page
from scripts.settings_page import PAGE, PROJECT, settings_page

PAGES = sorted([PROJECT / "README.md", PROJECT / "CHANGELOG.md", *PROJECT.glob("docs/**/*.md")])
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")


def test_the_settings_page_is_what_make_docs_would_write() -> None:
    assert PAGE.read_text("utf-8") == settings_page(), "run: make docs"


def test_the_tables_of_decisions_are_what_make_docs_would_write() -> None:
    assert decisions_page.PAGE.read_text("utf-8") == decisions_page.decisions_page(), "run: make docs"


MARKED = "before\n<!-- table: drift -->\nold\n<!-- end -->\nafter\n"


def test_a_table_takes_the_place_of_the_one_of_its_name() -> None:
    table = Table("drift", ["size", "rate"], [["100", "1 %"]])
    written = decisions_page.with_tables(MARKED, {"drift": table})
    assert "| size | rate |\n| --- | --: |\n| 100 | 1 % |\n" in written
    assert "old" not in written
    assert decisions_page.with_tables(written, {"drift": table}) == written


def test_a_table_without_a_place_is_an_error() -> None:
    with pytest.raises(ValueError, match="the results drift, gate"):
        decisions_page.with_tables(MARKED, {name: Table(name, ["size"], []) for name in ("drift", "gate")})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_every_relative_link_of_a_page_leads_somewhere(page: Path) -> None:
    links = [link for link in LINK.findall(page.read_text("utf-8")) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []
