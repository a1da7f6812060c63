from __future__ import annotations

import json

import click
import pytest

from ml.commands.output import json_option, show


@click.command()
@json_option
def chatty(as_json: bool) -> None:
    print("epoch 1 of 12")
    show({"done": True}, as_json=as_json, text="done")


def test_with_json_standard_output_holds_the_document_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    chatty.main(["--json"], standalone_mode=False)
    shown = capsys.readouterr()
    assert json.loads(shown.out) == {"done": True}
    assert shown.err == "epoch 1 of 12\n"


def test_without_json_everything_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    chatty.main([], standalone_mode=False)
    assert capsys.readouterr().out == "epoch 1 of 12\ndone\n"
