"""Predictions of a model that isn't asked about images and doesn't answer with a label."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from ml import layout
from ml.batches import read_manifest, read_refusals
from ml.errors import DataError
from ml.kinds import kind_of
from ml.prediction.batch import predict
from ml.prediction.collection import collect
from ml.prediction.documents import Predictions
from ml.prediction.instances import write_instances
from ml.prediction.served import ServedModel
from ml.storage import Storage
from tests.ml.notes.desk import Desk
from tests.ml.notes.pipelines.notes.kind import NoteServing


@pytest.fixture
def released(desk: Desk) -> Desk:
    desk.release()
    return desk


def lines(storage: Storage, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in storage.read(name).splitlines()]


def test_a_line_holds_what_the_kind_makes_of_the_models_outputs(released: Desk) -> None:
    released.write("1", "short")
    released.write("2", "not so short")
    batch = released.freeze()
    assert predict(released.storage, released.settings, batch) == Predictions(version=1, predicted=2, failed=0)
    found = lines(released.storage, layout.batch(batch, layout.PREDICTIONS))
    sizes = [released.storage.stat(layout.inbox(f"{name}.json")).size for name in "12"]
    assert [line["prediction"] for line in found] == [{"size": size, "together": 2} for size in sizes]


def test_what_the_kind_refuses_at_a_glance_thoroughly_or_by_its_model_has_its_reason(released: Desk) -> None:
    for number in range(20):
        released.write(str(number), f"note {number}")
    released.write("defiant", "refuse me")
    released.storage.write(layout.inbox("no-object.json"), b"[]")
    released.storage.write(layout.inbox("no-text.json"), b'{"tags": ["refuse me"]}')
    batch = released.freeze()
    assert predict(released.storage, released.settings, batch).failed == 3
    found = lines(released.storage, layout.batch(batch, layout.PREDICTIONS))
    told = {line["instance"]["object"]: line["error"]["message"] for line in found if "error" in line}
    assert told["no-object.json"] == "not a note: no object"
    assert told["no-text.json"].startswith("not a note: Object missing required field `text`")
    assert told["defiant.json"].startswith("the model refused it:")
    assert sorted(read_refusals(released.storage, batch).values()) == sorted(told.values())


def test_a_call_holds_no_more_than_fits_in_memory_unless_a_single_sample_does(
    released: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ml.prediction.served._CALL_BYTES", 100)
    model = ServedModel.of_release(released.storage, 1, kind_of(released.settings).serving(released.settings))
    notes = [b"{" * size for size in (40, 60, 1, 300, 100, 30, 30, 30)]
    answers: list[Any] = model.predict([*notes[:2], b"refused", *notes[2:]])
    assert answers.pop(2) == "not a note: no object"
    assert [answer.size for answer in answers] == [len(note) for note in notes]
    assert [answer.together for answer in answers] == [2, 2, 1, 1, 1, 3, 3, 3]


def test_a_job_is_given_the_models_own_input_and_may_answer_anything(released: Desk) -> None:
    for number in range(3):
        released.write(str(number), f"note {number}")
    released.storage.write(layout.inbox("x.json"), b"{}")
    batch = released.freeze()
    frozen = read_manifest(released.storage, batch)
    texts = {entry.index: f"note {entry.object[0]}" for entry in frozen if entry.object != "x.json"}
    made = write_instances(released.storage, released.settings, batch, 1)
    assert (made.samples, made.refused) == (3, 1)
    given = [
        line for name in made.files for line in lines(released.storage, layout.batch(batch, f"instances/1/{name}"))
    ]
    assert all(line.keys() == {"key", "note"} for line in given)
    assert {line["key"]: json.loads(base64.b64decode(line["note"]["b64"]))["text"] for line in given} == texts
    folder = layout.batch(batch, "predictions/1/job")
    answers = [{"key": str(key), "prediction": {"size": 30, "together": 1}} for key in texts]
    written = "".join(json.dumps(answer) + "\n" for answer in answers).encode()
    released.storage.write(f"{folder}/prediction.results-00000-of-00001", written)
    found = collect(released.storage, released.settings, batch, 1, "job")
    assert found == Predictions(version=1, predicted=3, failed=1, folder=folder)


class Greedy(NoteServing):
    outputs = frozenset({"size", "together", "meaning"})


class Deaf(NoteServing):
    input = "letter"


@pytest.mark.parametrize(
    ("serving", "message"),
    [
        (Greedy(), "does not return meaning and size and together from serving_default"),
        (Deaf(), "has no signature serving_default with the one input letter"),
    ],
)
def test_a_model_that_the_kind_can_not_ask_is_told(released: Desk, serving: NoteServing, message: str) -> None:
    with pytest.raises(DataError, match=message):
        ServedModel.of_release(released.storage, 1, serving)
