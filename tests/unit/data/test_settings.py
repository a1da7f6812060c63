"""A settings file is refused with file, key and what is allowed, in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from ml.errors import NotFoundError, SettingsError
from ml.home import pipeline_names
from ml.settings import code_version, load_settings, load_settings_file
from ml.settings_keys import documented_keys

OWN = """
from pydantic import BaseModel, ConfigDict, Field

class ModelSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    backbone: str = Field("small_cnn", description="What the classifier stands on.")
    size: int = Field(32, ge=8, description="Side in pixels.")
    extra: dict[str, int] = Field({}, description="More.")
"""


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "digits"
    folder.mkdir()
    (folder / "settings.py").write_text(OWN)
    (folder / "settings.yaml").write_text("kind: image_classification\n")
    monkeypatch.setenv("RESPAN_PIPELINES", str(tmp_path))
    return folder


def refusal(pipeline: Path, text: str) -> str:
    (pipeline / "settings.yaml").write_text(text)
    with pytest.raises(SettingsError) as refused:
        load_settings("digits")
    message = str(refused.value)
    assert "\n" not in message
    assert str(pipeline) in message
    return message


def test_defaults_hold_where_the_file_says_nothing(pipeline: Path) -> None:
    settings = load_settings("digits")
    assert (settings.name, settings.data.window_spans, settings.model.size) == ("digits", 2, 32)
    assert "digits" in pipeline_names()


KIND = "kind: image_classification\n"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (KIND + "evaluation:\n  treshold: 0.9\n", ["evaluation.treshold", "did you mean `threshold`", "min_samples"]),
        (KIND + "evaluation:\n  threshold: 1.5\n", ["evaluation.threshold", "1.5", "less than or equal to 1"]),
        (KIND + "evaluation:\n  threshold: .nan\n", ["evaluation.threshold", "finite"]),
        (KIND + "evaluation:\n  poll_seconds: .inf\n", ["evaluation.poll_seconds", "finite"]),
        (
            KIND + "evaluation: {max_samples: 150}\n",
            ["key `evaluation.max_samples` is 150: must not be below evaluation.min_samples = 200"],
        ),
        (
            KIND + "evaluation: {max_samples: 50, min_samples: 20}\n",
            ["key `evaluation.max_samples` is 50: must not be below", "evaluation.min_evaluated = 100"],
        ),
        (KIND + "evaluation: {min_samples_per_class: -1}\n", ["evaluation.min_samples_per_class", "-1"]),
        (KIND + "training:\n  epochs: many\n", ["training.epochs", "'many'", "integer"]),
        (KIND + "trainig: {}\n", ["trainig", "did you mean `training`"]),
        (KIND + "model:\n  backbon: x\n", ["model.backbon", "did you mean `backbone`"]),
        (KIND + "model:\n  size: 4\n", ["model.size", "4", "greater than or equal to 8"]),
        (KIND + "model: [1]\n", ["`model`", "keys and values"]),
        (KIND + "name: other\n", ["`name`", "folder"]),
        (KIND + "training:\n  epochs: 1\n  epochs: 2\n", ["`epochs` is given twice"]),
        ("kind: segmentation\n", ["kind", "image_classification"]),
        ("description: no kind\n", ["`kind` is missing"]),
        (KIND + "1: 2\n", ["the file has the key 1, which YAML reads as a number: put it in quotes"]),
        (KIND + "on: 2\n", ["the file has the key True, which YAML reads as true or false: put it in quotes"]),
        (
            KIND + "evaluation: {human_level: {0: 0.9}}\n",
            ["`evaluation.human_level` has the key 0, which YAML reads as a number: put it in quotes"],
        ),
        (KIND + "vertex: {labels: {2026-01-01: a}}\n", ["`vertex.labels` has the key 2026-01-01", "a date or nothing"]),
        (KIND + "model: {extra: {1: 2}}\n", ["`model.extra` has the key 1, which YAML reads as a number"]),
        (KIND + "evaluation: {human_level: 98}\n", ["key `evaluation.human_level` is 98: input should be less"]),
        (
            KIND + "evaluation: {human_level: {cat: 0.9, dog: -3}}\n",
            ["key `evaluation.human_level.dog` is -3: input should be greater than or equal to 0"],
        ),
        (KIND + "evaluation: {human_level: {cat: .nan}}\n", ["`evaluation.human_level.cat`", "finite"]),
        (KIND + "evaluation: {human_level: {cat: yes}}\n", ["`evaluation.human_level`", "true or false"]),
        (KIND + "evaluation: {confidence: 0.9999999999999999}\n", ["`evaluation.confidence`", "equal to 0.999"]),
        (KIND + "evaluation: {confidence: 0.2}\n", ["`evaluation.confidence`", "equal to 0.5"]),
        (KIND + "evaluation: {threshold: yes}\n", ["`evaluation.threshold`", "true or false is not allowed here"]),
        (KIND + "evaluation: {max_label_drift: off}\n", ["`evaluation.max_label_drift`", "true or false"]),
        (KIND + "training: {epochs: on}\n", ["`training.epochs`", "true or false is not allowed here"]),
        ("- a list\n", ["keys and values"]),
        ("", ["keys and values"]),
        ("a: b: c\n", ["is not YAML"]),
    ],
)
def test_what_is_not_allowed_is_named_with_what_is(pipeline: Path, text: str, parts: list[str]) -> None:
    message = refusal(pipeline, text)
    for part in parts:
        assert part in message


def test_true_and_false_are_allowed_where_they_mean_something(pipeline: Path) -> None:
    (pipeline / "settings.yaml").write_text(
        KIND + "training: {on_drift: no}\nci_cd: {local_run: {training.approval: true}}\n"
    )
    settings = load_settings("digits")
    assert settings.training.on_drift is False
    assert settings.ci_cd.local_run == {"training.approval": True}


@pytest.mark.parametrize("text", ["1", "0.97", "{cat: 0.9, '0': 1}"])
def test_people_are_as_good_as_a_share_says(pipeline: Path, text: str) -> None:
    (pipeline / "settings.yaml").write_text(KIND + f"evaluation: {{human_level: {text}}}\n")
    assert load_settings("digits").evaluation.human_level in (1, 0.97, {"cat": 0.9, "0": 1})


def test_a_batch_may_be_just_as_large_as_a_verdict_needs(pipeline: Path) -> None:
    (pipeline / "settings.yaml").write_text(
        KIND + "evaluation: {max_samples: 30, min_samples: 20, min_evaluated: 30}\n"
    )
    assert load_settings("digits").evaluation.max_samples == 30


def test_a_file_that_can_not_be_read_is_a_settings_error(pipeline: Path) -> None:
    (pipeline / "settings.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="is not YAML"):
        load_settings("digits")
    with pytest.raises(SettingsError, match="can't be read"):
        load_settings_file(pipeline)


def test_a_pipeline_that_does_not_exist_is_named_with_those_that_do(pipeline: Path) -> None:
    with pytest.raises(NotFoundError, match="no pipeline 'digit'; found: digits"):
        load_settings("digit")


def test_broken_code_of_the_pipeline_is_one_line_too(pipeline: Path) -> None:
    (pipeline / "settings.py").write_text("class ModelSettings: pass\n")
    with pytest.raises(SettingsError, match="must be a pydantic model"):
        load_settings("digits")
    (pipeline / "settings.py").write_text("import nothing_of_this_name_at_all\n")
    with pytest.raises(SettingsError, match="can't be loaded: ModuleNotFoundError"):
        load_settings("digits")
    (pipeline / "settings.py").unlink()
    with pytest.raises(SettingsError, match="is missing"):
        load_settings("digits")


def test_every_key_is_documented(pipeline: Path) -> None:
    keys = {key.name: key for key in documented_keys(load_settings("digits"))}
    assert keys["evaluation.threshold"].default == 0.9
    assert keys["evaluation.threshold"].allowed == "number ≥ 0 ≤ 1"
    assert keys["model.size"].default == 32
    assert {name for name, key in keys.items() if key.required} == {"kind"}
    assert (keys["kind"].without_it, keys["evaluation.threshold"].without_it) == ("required", "0.9")
    assert {"kind", "tags", "data.max_sample_bytes", "tuner.enabled"} <= set(keys)
    assert [name for name, key in keys.items() if not key.meaning] == []


def test_the_code_version_follows_what_the_model_depends_on(pipeline: Path) -> None:
    first = code_version("digits")
    (pipeline / "model_test.py").write_text("assert True")
    (pipeline / "graph.json").write_text("{}")
    assert code_version("digits") == first
    (pipeline / "model.py").write_text("layers = 3")
    second = code_version("digits")
    (pipeline / "model.py").write_text("layers = 4")
    assert len({first, second, code_version("digits")}) == 3
