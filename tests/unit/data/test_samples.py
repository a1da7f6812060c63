"""What counts as a sample of an image classifier, from its name alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.kinds import kind_of
from ml.kinds.image_classification.kind import KIND
from ml.kinds.kind import Part, Unusable
from ml.settings import load_settings


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("3/a.png", "3"),
        ("3/a.PNG", "3"),
        ("3/a.Jpeg", "3"),
        ("3/a.b.jpg", "3"),
        ('tabby cat/it\'s "mine".png', "tabby cat"),
        ("猫/Ünïcödé.png", "猫"),
        ("3/a..png", "3"),
        ("$(reboot)/`id`.png", "$(reboot)"),
        ("-rf/--help.png", "-rf"),
    ],
)
def test_a_name_of_the_layout_gives_its_label(name: str, label: str) -> None:
    assert KIND.part_of(name) == Part(name, "sample", label)
    assert name.startswith(f"{KIND.class_folder(label)}/")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a.png", "no label"),
        ("3/4/a.png", "too many folders"),
        ("3/a.gif", "extension"),
        ("3/png", "extension"),
        ("3/.png", "blank"),
        (" /a.png", "blank"),
        ("/a.png", "blank"),
        ("", "no label"),
        ("../a.png", "leads elsewhere"),
        ("3/../../a.png", "leads elsewhere"),
        ("3/new\nline.png", "control character"),
        ("3/tab\t.png", "control character"),
        ("3/line\u2028separator.png", "line break"),
        ("3/\uefff.png", "not UTF-8"),
        ("3/\udcff.png", "not UTF-8"),
    ],
)
def test_any_other_name_is_refused_with_the_reason(name: str, reason: str) -> None:
    found = KIND.part_of(name)
    assert isinstance(found, Unusable)
    assert reason in found.reason


@given(name=st.text())
def test_every_name_is_told_and_a_labelled_one_is_one_folder_deep(name: str) -> None:
    found = KIND.part_of(name)
    if isinstance(found, Part) and found.label is not None:
        assert name.count("/") == 1
        assert name.startswith(f"{found.label}/")
        assert found.label.isprintable() or all(ord(c) >= 0x20 for c in found.label)


def test_a_pipeline_has_the_kind_that_its_settings_name() -> None:
    assert kind_of(load_settings("image_classification")) is KIND
