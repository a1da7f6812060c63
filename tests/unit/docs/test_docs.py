from __future__ import annotations

import re
from pathlib import Path

import pytest

from scripts.settings_page import PAGE, PROJECT, settings_page

PAGES = sorted([PROJECT / "README.md", PROJECT / "CHANGELOG.md", *PROJECT.glob("docs/**/*.md")])
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")


def test_the_settings_page_is_what_make_docs_would_write() -> None:
    assert PAGE.read_text("utf-8") == settings_page(), "run: make docs"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_every_relative_link_of_a_page_leads_somewhere(page: Path) -> None:
    links = [link for link in LINK.findall(page.read_text("utf-8")) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []
