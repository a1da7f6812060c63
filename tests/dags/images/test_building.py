"""One image: built, pushed, found again; by every engine that works here, and by the double of one."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from respan.images.credentials import RegistryLogin
from respan.images.errors import ImageError, ImageServiceError
from respan.images.request import content_key

from ml.errors import NotFoundError, SettingsError
from tests.dags.images.builds import FIRST, SECOND, Builder, a_request
from tests.dags.images.conftest import LOGIN, each_engine
from tests.dags.images.engines_at_hand import NAMES, EngineAtHand, engine_at_hand
from tests.dags.images.registry import Registry

pytestmark = pytest.mark.usefixtures("respan_home")


@pytest.fixture
def builder(engine: EngineAtHand, registry: Registry) -> Builder:
    return Builder(engine, RegistryLogin(registry.address, *LOGIN))


def test_the_digest_names_the_image_that_the_registry_has(builder: Builder, registry: Registry, context: Path) -> None:
    request = a_request(f"{registry.address}/team/respan", context)
    built = builder.build(request)
    tags = registry.tags_of("team/respan")
    assert tags == {FIRST: tags[FIRST], f"content-{request.content}": tags[FIRST]}
    assert built == {
        "image": f"{registry.address}/team/respan@{tags[FIRST]}",
        "tag": request.revision_tag,
        "reused": False,
    }
    labels = registry.labels(tags[FIRST])
    assert labels["org.opencontainers.image.revision"] == FIRST
    assert labels["org.opencontainers.image.source"] == "https://git.example/respan.git"
    assert labels["respan.content"] == request.content


def test_the_same_content_is_not_built_again_but_tagged_anew(
    builder: Builder, engine: EngineAtHand, registry: Registry, context: Path
) -> None:
    first = builder.build(a_request(f"{registry.address}/respan", context))
    second = builder.build(a_request(f"{registry.address}/respan", context, revision=SECOND))
    assert (second["image"], second["reused"]) == (first["image"], True)
    assert builder.builds == 1
    tags = registry.tags_of("respan")
    assert tags[FIRST] == tags[SECOND]
    assert len(engine.images(content_key("tree", "Dockerfile", "any"))) == 1


def test_other_content_is_another_image(builder: Builder, registry: Registry, context: Path) -> None:
    first = builder.build(a_request(f"{registry.address}/respan", context))
    (context / "code.py").write_text("answer = 43\n")
    second = builder.build(
        a_request(f"{registry.address}/respan", context, content=content_key("other", "Dockerfile", "any"))
    )
    assert second["image"] != first["image"]
    assert not second["reused"]


def test_an_image_of_another_machine_is_found_in_the_registry(
    builder: Builder, engine: EngineAtHand, registry: Registry, context: Path, tmp_path: Path
) -> None:
    first = builder.build(a_request(f"{registry.address}/respan", context))
    (tmp_path / "elsewhere").mkdir()
    with engine_at_hand(engine.name, tmp_path / "elsewhere", [registry.address]) as other:
        elsewhere = Builder(other, RegistryLogin(registry.address, *LOGIN))
        second = elsewhere.build(a_request(f"{registry.address}/respan", context, revision=SECOND))
    assert elsewhere.builds == 0
    assert second == {"image": first["image"], "tag": f"{registry.address}/respan:{SECOND}", "reused": True}


def test_a_tag_that_was_moved_to_other_content_is_not_believed(
    builder: Builder, engine: EngineAtHand, registry: Registry, context: Path
) -> None:
    repository = f"{registry.address}/respan"
    right, other = (content_key(tree, "Dockerfile", "any") for tree in ("right", "other"))
    builder.build(a_request(repository, context, content=other))
    builder.build(a_request(repository, context, content=right))
    moved = [engine.builder, "tag", f"{repository}:content-{other}", f"{repository}:content-{right}"]
    subprocess.run(moved, env=engine.environment, check=True, capture_output=True)
    built = builder.build(a_request(repository, context, content=right, revision=SECOND))
    assert not built["reused"]
    assert registry.labels(registry.tags_of("respan")[SECOND])["respan.content"] == right


def test_an_image_that_is_not_pushed_is_named_as_the_engine_knows_it(
    builder: Builder, registry: Registry, context: Path
) -> None:
    built = builder.build(a_request("localhost/respan", context, push=False))
    assert built["image"] is not None
    name, _, digest = built["image"].rpartition("sha256:")
    assert name in ("localhost/respan@", "")
    assert len(digest) == 64
    assert registry.tags == {}
    assert builder.build(a_request("localhost/respan", context, push=False)) == {**built, "reused": True}


def test_a_failing_step_is_named_in_one_line(builder: Builder, registry: Registry, context: Path) -> None:
    (context / "Dockerfile").write_text("FROM scratch\nCOPY nowhere /app\n")
    with pytest.raises(ImageError, match=r"step 2/\d: COPY nowhere /app: .*nowhere") as raised:
        builder.build(a_request(f"{registry.address}/respan", context))
    assert "\n" not in str(raised.value)
    assert not raised.value.retryable
    assert registry.tags == {}


def test_a_missing_dockerfile_is_named_before_anything_runs(builder: Builder, context: Path) -> None:
    with pytest.raises(NotFoundError, match=r"there is no file images/Dockerfile in revision a{40}"):
        builder.build(a_request("localhost/respan", context, dockerfile="images/Dockerfile"))
    assert builder.log == []


def test_a_refused_login_is_told_before_the_build(engine: EngineAtHand, registry: Registry, context: Path) -> None:
    wrong = Builder(engine, RegistryLogin(registry.address, LOGIN[0], "wrong"))
    with pytest.raises(ImageError, match=f"{registry.address} refuses the login in connection 'registry'") as raised:
        wrong.build(a_request(f"{registry.address}/respan", context))
    assert not raised.value.retryable
    assert wrong.builds == 0


@pytest.mark.parametrize("address", ["127.0.0.1:9", None], ids=["nobody listens", "out of order"])
def test_a_registry_that_cant_be_reached_is_worth_a_retry(
    builder: Builder, registry: Registry, context: Path, address: str | None
) -> None:
    registry.broken = True
    with pytest.raises(ImageServiceError, match="can't be reached") as raised:
        builder.build(a_request(f"{address or registry.address}/respan", context))
    assert raised.value.retryable


def test_a_name_that_is_none_is_refused(builder: Builder, context: Path) -> None:
    for name in ("-v", "Team/Respan", "registry.example/respan:latest", "a b", ""):
        with pytest.raises(SettingsError, match=r"ci_cd\.image\.repository"):
            builder.build(a_request(name, context))


@pytest.mark.parametrize("engine", each_engine([name for name in NAMES if name != "docker"]), indirect=True)
def test_a_failing_build_leaves_no_container(builder: Builder, engine: EngineAtHand, context: Path) -> None:
    (context / "Dockerfile").write_text('FROM scratch\nCOPY code.py /app/\nRUN ["/nowhere"]\n')
    with pytest.raises(ImageError, match=r"step 3/\d: RUN \[\"/nowhere\"\]: "):
        builder.build(a_request("localhost/respan", context, push=False))
    assert engine.containers() == set()
