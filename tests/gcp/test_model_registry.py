"""The double of the model registry: versions, aliases, refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from google.api_core.exceptions import (
    AlreadyExists,
    FailedPrecondition,
    GoogleAPICallError,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
)
from google.cloud import aiplatform_v1 as vertex

from tests.gcp.services.scripts import out_of_quota
from tests.gcp.serving_place import Place

pytest_plugins = ("tests.gcp.serving_fixtures",)


def aliases(place: Place, name: str) -> dict[str, set[str]]:
    return {
        model.version_id: set(model.version_aliases)
        for model in place.models.list_model_versions(name=name.partition("@")[0])
    }


def test_the_first_version_is_the_default_one_and_later_ones_are_not(place: Place) -> None:
    uri = place.put_model(None)
    first = place.upload(uri, model_id="words", aliases=("release-1", "candidate"))
    assert (first.model.rpartition("/")[2], first.model_version_id) == ("words", "1")
    second = place.upload(uri, parent_model=first.model, aliases=("release-2", "candidate"))
    assert (second.model, second.model_version_id) == (first.model, "2")
    assert aliases(place, first.model) == {"1": {"default", "release-1"}, "2": {"release-2", "candidate"}}


def test_a_model_is_found_by_version_alias_and_default(place: Place) -> None:
    uri = place.put_model(None)
    name = place.upload(uri, model_id="words").model
    place.upload(uri, parent_model=name, aliases=("production",))
    found = [place.models.get_model(name=name + at).version_id for at in ("", "@default", "@1", "@2", "@production")]
    assert found == ["1", "1", "1", "2", "2"]
    for missing in (f"{name}@3", f"{name}@nothing", f"{place.parent}/models/other"):
        with pytest.raises(NotFound):
            place.models.get_model(name=missing)


def test_answers_name_the_project_by_number_and_requests_may_do_either(place: Place) -> None:
    name = place.upload(place.put_model(None), model_id="words").model
    assert name == f"projects/{place.cloud.project_number}/locations/{place.cloud.region}/models/words"
    assert place.models.get_model(name=f"{place.parent}/models/words").name == name


def test_an_alias_moves_to_the_version_that_gets_it(place: Place) -> None:
    uri = place.put_model(None)
    name = place.upload(uri, model_id="words", aliases=("candidate",)).model
    place.upload(uri, parent_model=name)
    place.models.merge_version_aliases(name=f"{name}@2", version_aliases=["candidate", "default"])
    assert aliases(place, name) == {"1": set(), "2": {"candidate", "default"}}
    place.models.merge_version_aliases(name=f"{name}@2", version_aliases=["-candidate", "production"])
    assert aliases(place, name) == {"1": set(), "2": {"default", "production"}}


@pytest.mark.parametrize("wrong", [["-default"], ["1st"], ["Upper"], ["x"]])
def test_aliases_that_can_not_be_are_refused(place: Place, wrong: list[str]) -> None:
    name = place.upload(place.put_model(None), model_id="words").model
    with pytest.raises(InvalidArgument):
        place.models.merge_version_aliases(name=f"{name}@1", version_aliases=wrong)
    with pytest.raises(InvalidArgument, match="explicitly"):
        place.models.merge_version_aliases(name=f"{name}@default", version_aliases=["good"])
    assert aliases(place, name) == {"1": {"default"}}


def test_an_id_is_taken_from_the_beginning_of_its_upload(place: Place) -> None:
    uri = place.put_model(None)
    place.serving.registry.script.hold("UploadModel words")
    started = place.start_upload(uri, model_id="words")
    with pytest.raises(AlreadyExists):
        place.start_upload(uri, model_id="words")
    with pytest.raises(NotFound):
        place.models.get_model(name=f"{place.parent}/models/words")
    place.serving.registry.script.release()
    assert started.result(timeout=60).model_version_id == "1"


def test_a_folder_without_a_saved_model_fails_the_operation_and_frees_the_id(place: Place) -> None:
    place.put("empty/readme", "nothing")
    with pytest.raises(FailedPrecondition, match="expected to contain exactly one of"):
        place.upload(f"gs://{place.cloud.bucket}/empty", model_id="words")
    assert place.upload(place.put_model(None), model_id="words").model_version_id == "1"


def test_a_scripted_failure_is_the_operations_error(place: Place) -> None:
    place.serving.registry.script.fail("UploadModel *", out_of_quota("custom_model_serving_cpus"))
    uri = place.put_model(None)
    with pytest.raises(ResourceExhausted, match="custom_model_serving_cpus"):
        place.upload(uri, model_id="words")
    assert list(place.models.list_models(parent=place.parent)) == []


@pytest.mark.parametrize(
    "wrong",
    [{"model_id": "1st"}, {"model_id": "Upper"}, {"model_id": "a" * 64}, {"uri": "/a/folder"}, {"aliases": ("1",)}],
)
def test_an_upload_that_can_not_be_is_refused_at_once(place: Place, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        place.start_upload(**{"uri": place.put_model(None), **wrong})


def test_a_model_without_a_container_and_a_version_of_no_model_are_refused(place: Place) -> None:
    uri = place.put_model(None)
    with pytest.raises(InvalidArgument, match="container_spec"):
        place.models.upload_model(parent=place.parent, model={"display_name": "m", "artifact_uri": uri})
    with pytest.raises(NotFound):
        place.start_upload(uri, parent_model=f"{place.parent}/models/none")


def test_versions_are_deleted_but_the_default_and_the_only_one(place: Place) -> None:
    uri = place.put_model(None)
    name = place.upload(uri, model_id="words").model
    with pytest.raises(FailedPrecondition, match="only version"):
        place.models.delete_model_version(name=f"{name}@1")
    place.upload(uri, parent_model=name)
    with pytest.raises(FailedPrecondition, match="default"):
        place.models.delete_model_version(name=f"{name}@1")
    place.models.delete_model_version(name=f"{name}@2").result(timeout=60)
    assert place.upload(uri, parent_model=name).model_version_id == "3"
    place.models.delete_model(name=name).result(timeout=60)
    with pytest.raises(NotFound):
        place.models.get_model(name=name)


def test_models_are_listed_by_label_and_name_page_by_page(place: Place) -> None:
    uri = place.put_model(None)
    for number in range(3):
        model = vertex.Model(
            display_name=f"words {number}",
            artifact_uri=uri,
            container_spec={"image_uri": "i"},
            labels={"odd": str(number % 2)},
        )
        place.models.upload_model(parent=place.parent, model=model).result(timeout=60)

    def listed(**request: Any) -> list[str]:
        found = place.models.list_models(request={"parent": place.parent, "page_size": 1, **request})
        return [model.display_name for model in found]

    assert listed(order_by="display_name") == ["words 0", "words 1", "words 2"]
    assert listed(filter="labels.odd=0", order_by="create_time desc") == ["words 2", "words 0"]
    assert listed(filter='displayName="words 1" OR NOT labels.odd="0"') == ["words 1"]
    with pytest.raises(InvalidArgument, match="unknown field"):
        listed(filter='colour="red"')


@pytest.mark.parametrize(
    ("permission", "act"),
    [
        ("aiplatform.models.upload", lambda place, name: place.start_upload("gs://respan-test/model")),
        ("aiplatform.models.get", lambda place, name: place.models.get_model(name=name)),
        ("aiplatform.models.list", lambda place, name: list(place.models.list_models(parent=place.parent))),
        ("aiplatform.models.delete", lambda place, name: place.models.delete_model(name=name)),
        (
            "aiplatform.models.update",
            lambda place, name: place.models.merge_version_aliases(name=f"{name}@1", version_aliases=["good"]),
        ),
    ],
)
def test_each_call_needs_its_permission(place: Place, permission: str, act: Callable[[Place, str], object]) -> None:
    name = place.upload(place.put_model(None), model_id="words").model
    place.cloud.permissions.deny(place.cloud.airflow_principal, permission)
    with pytest.raises(PermissionDenied, match=permission):
        act(place, name)


def test_nothing_is_left_waiting_when_the_cloud_ends(place: Place) -> None:
    place.serving.registry.script.hold()
    started = place.start_upload(place.put_model(None), model_id="words")
    place.serving.registry.script.wait_until_held("UploadModel words")
    place.serving.registry.detach()
    with pytest.raises(GoogleAPICallError):
        started.result(timeout=60)
