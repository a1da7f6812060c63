"""What a change needs: the largest of what its paths need."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.ci_cd.records import Scope
from ml.ci_cd.scope import decide
from ml.ci_cd_settings import CiCdSettings

SETTINGS = CiCdSettings()
OWN = "ml/pipelines/flowers"
ORDER = list(Scope)

#: What a name may hold in git: everything but NUL and the slash, bytes that aren't UTF-8 as surrogates.
names = st.text(st.characters(blacklist_characters="/\0"), min_size=1, max_size=8) | st.sampled_from(
    ["\n", "a\nb.md", "x.py\n", "\udcff.md", "é", "…", " ", "-", "model.py", "docs", "README.md", ".gitignore"]
)
anywhere = st.lists(names, min_size=1, max_size=4).map("/".join)
in_own_folder = anywhere.map(lambda path: f"{OWN}/{path}")
in_others = st.tuples(st.sampled_from(["roses", "a", "flowers2", "flower"]), anywhere).map(
    lambda parts: f"ml/pipelines/{parts[0]}/{parts[1]}"
)
changed = anywhere | in_own_folder | in_others | st.sampled_from(["Dockerfile", "docs/a.md", f"{OWN}/model.py"])


def scope(*paths: str, settings: CiCdSettings = SETTINGS) -> Scope:
    return decide(paths, "flowers", settings).scope


@pytest.mark.parametrize("path", ["model.py", "model_test.py", "settings.yaml", "layers/deep.py", "schema.pbtxt"])
def test_a_file_of_the_pipelines_own_folder_needs_its_modules_copied(path: str) -> None:
    assert scope(f"{OWN}/{path}") is Scope.MODULES


@pytest.mark.parametrize(
    "path",
    [
        "ml/tfx/factory.py",
        "dags/training.py",
        "requirements.txt",
        "Dockerfile",
        f"{OWN}/data.bin",
        OWN,
        "ml/pipelines/__init__.py",
        "ml/pipelines/_shared/layers.py",
        "ml/pipelines/link",
        "src/docs/api.rst",
        "model.py",
    ],
)
def test_any_other_code_needs_the_whole(path: str) -> None:
    assert scope(path) is Scope.WHOLE


@pytest.mark.parametrize("path", ["README.md", f"{OWN}/README.md", "docs/a/b.png", ".github/x.yml", "LICENSE"])
def test_documentation_needs_nothing(path: str) -> None:
    assert scope(path) is Scope.NONE


@pytest.mark.parametrize("path", ["ml/pipelines/roses/model.py", "ml/pipelines/flowers2/x", "ml/pipelines/f/a/b"])
def test_what_is_in_another_pipelines_folder_needs_nothing(path: str) -> None:
    assert scope(path) is Scope.NONE


def test_patterns_mean_what_they_mean_in_a_gitignore_file_of_their_folder() -> None:
    settings = CiCdSettings(modules=["/*.py", "!/odd.py"], ignored=["*.txt", "!requirements.txt"], pipelines_path="p")
    found = {path: scope(path, settings=settings) for path in ("p/flowers/a.py", "p/flowers/a/b.py", "notes.txt")}
    assert found == {"p/flowers/a.py": Scope.MODULES, "p/flowers/a/b.py": Scope.WHOLE, "notes.txt": Scope.NONE}
    assert scope("p/flowers/odd.py", settings=settings) is Scope.WHOLE
    assert scope("p/requirements.txt", settings=settings) is Scope.WHOLE


@given(st.lists(changed))
def test_the_largest_scope_of_the_paths_wins(paths: list[str]) -> None:
    largest = max((ORDER.index(scope(path)) for path in paths), default=0)
    assert scope(*paths) is ORDER[largest]


@given(st.lists(changed), st.randoms(use_true_random=False))
def test_neither_order_nor_duplicates_matter(paths: list[str], chance: random.Random) -> None:
    mixed = paths + chance.choices(paths, k=3) if paths else []
    chance.shuffle(mixed)
    assert decide(mixed, "flowers", SETTINGS) == decide(paths, "flowers", SETTINGS)


@given(st.lists(changed), st.lists(in_others))
def test_another_pipelines_files_never_matter(paths: list[str], others: list[str]) -> None:
    assert scope(*paths, *others) is scope(*paths)


@given(st.lists(changed))
def test_the_reason_is_one_printable_line_that_begins_with_the_scope(paths: list[str]) -> None:
    decision = decide(paths, "flowers", SETTINGS)
    assert decision.reason.isprintable()
    assert decision.reason.startswith(f"{decision.scope.value}: ")
    assert len(decision.reason) < 300


@given(names)
def test_a_wildcard_matches_any_name_that_git_can_hold(name: str) -> None:
    assert scope(f"docs/{name}/x.md", f"a/{name}.md", f"{name}x/y.md") is Scope.NONE
    assert scope(f"{OWN}/{name}/model.py") is Scope.MODULES


def test_a_name_that_ends_in_a_newline_is_not_the_name_without_it() -> None:
    assert scope("README.md\n") is Scope.WHOLE
    assert scope(f"{OWN}/model.py\n") is Scope.WHOLE


@pytest.mark.parametrize(
    ("paths", "reason"),
    [
        (["ml/tfx/factory.py", "z", "y", "x", f"{OWN}/model.py"], "whole: ml/tfx/factory.py and 3 more"),
        (["Makefile", "README.md"], "whole: Makefile"),
        ([f"{OWN}/model.py", "README.md"], "modules: model.py"),
        ([f"{OWN}/b.py", f"{OWN}/a/z.py"], "modules: a/z.py and 1 more"),
        ([f"docs/{n}" for n in range(12)], "none: 12 files, all ignored"),
        (["README.md"], "none: 1 file, all ignored"),
        (["ml/pipelines/roses/a", "README.md"], "none: 2 files, all ignored or of other pipelines (1)"),
        (["ml/pipelines/roses/a"], "none: 1 file, all of other pipelines"),
        ([], "none: no file changed"),
        (["a\nb"], "whole: a\\nb"),
        (["\udcff"], "whole: \\udcff"),
        (["x" * 5000], f"whole: {'x' * 200}…"),
        (None, "whole: the revision processed last is unknown or gone, so anything may differ"),
    ],
)
def test_the_reason_names_what_decided(paths: list[str] | None, reason: str) -> None:
    assert decide(paths, "flowers", SETTINGS).reason == reason


@pytest.mark.parametrize("last", ["docs/last.md", f"{OWN}/model.py", "Dockerfile"])
def test_a_change_of_50_000_files_is_decided_file_by_file(last: str) -> None:
    paths = [f"docs/{n % 97}/{'deep/' * 10}{n}.txt" for n in range(50_000)]
    decision = decide(iter([*paths, last]), "flowers", SETTINGS)
    assert decision.scope is scope(last)
