from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.decisions.table import Table
from scripts import decisions_page
from scripts.settings_page import PAGE, PROJECT, settings_page

PAGES = sorted([PROJECT / "README.md", PROJECT / "CHANGELOG.md", *PROJECT.glob("docs/**/*.md")])
#: The commands of a page, in their order.
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: Either sets a variable, or uses one (without a default).
VARIABLE = re.compile(r"(?P<set>\b[A-Z][A-Z_]*)=|\$\{?(?P<used>[A-Za-z_]+)\b(?!:-)")
#: What every shell has.
GIVEN = {"HOME", "PATH", "PWD"}
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


def commands(page: Path) -> str:
    """A page's commands without their comments."""
    blocks = "".join(BLOCK.findall(page.read_text("utf-8")))
    return re.sub(r"(?<!\S)#.*", "", blocks)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_the_commands_of_a_page_need_nothing_that_a_new_shell_lacks(page: Path) -> None:
    typed = commands(page)
    known, unset = set(GIVEN), []
    for found in VARIABLE.finditer(typed):
        if found["set"]:
            known.add(found["set"])
        elif found["used"] not in known:
            unset.append(found["used"])
    assert unset == [], "set these variables on the page, or give them a default"
    assert re.findall(r"<\w+>", typed) == [], "a shell takes a placeholder for the name of a file"
    before, calls, _ = typed.partition("\npython ")
    assert not calls or "/envs/tfx/bin:$PATH" in before, "say which python is meant: put TFX's first on PATH"
