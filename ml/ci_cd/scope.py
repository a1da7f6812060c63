"""What a change of the repository needs, decided from the paths that changed. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pathspec import GitIgnoreSpec

from ml.ci_cd.records import Scope
from ml.ci_cd_settings import CiCdSettings
from ml.errors import SettingsError
from ml.names import check_pipeline_name

_LONGEST_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Decision:
    """``reason`` is one line that names the path which decided."""

    scope: Scope
    reason: str


def decide(paths: Iterable[str] | None, pipeline: str, settings: CiCdSettings) -> Decision:
    """What ``pipeline`` needs when ``paths`` changed: the largest of what each path needs.

    ``paths`` are relative to the repository's root, as git tells them (undecodable bytes as surrogates), in any order;
    a renamed file counts with both its names. None says that nobody knows what changed, and needs the whole.

    * In the pipeline's folder: *modules* where ``settings.modules`` (patterns relative to that folder) has it.
    * In another pipeline's folder, any folder directly in ``settings.pipelines_path`` that could name a pipeline:
      *none*. Code that pipelines share must have its place elsewhere, or a name such as ``_shared``.
    * Anything else: *none* where ``settings.ignored`` has it, else the *whole*.
    """
    if paths is None:
        return Decision(Scope.WHOLE, "whole: the revision processed last is unknown or gone, so anything may differ")
    classify = _Classifier(pipeline, settings)
    found: dict[Scope, set[str]] = {scope: set() for scope in Scope}
    for path in set(paths):
        found[classify(path)].add(path)
    if found[Scope.WHOLE]:
        return Decision(Scope.WHOLE, f"whole: {_named(found[Scope.WHOLE])}")
    if found[Scope.MODULES]:
        own = {path.removeprefix(classify.own) for path in found[Scope.MODULES]}
        return Decision(Scope.MODULES, f"modules: {_named(own)}")
    return Decision(Scope.NONE, _nothing(len(found[Scope.NONE]), classify.others))


class _Classifier:
    """Tells what one path needs, and counts in ``others`` those in other pipelines' folders."""

    def __init__(self, pipeline: str, settings: CiCdSettings) -> None:
        self.own = f"{settings.pipelines_path}/{pipeline}/"
        self.others = 0
        self._pipelines = f"{settings.pipelines_path}/"
        self._modules = GitIgnoreSpec.from_lines(settings.modules)
        self._ignored = GitIgnoreSpec.from_lines(settings.ignored)

    def __call__(self, path: str) -> Scope:
        if path.startswith(self.own):
            if self._modules.match_file(_on_one_line(path.removeprefix(self.own))):
                return Scope.MODULES
        elif self._is_another_pipelines(path):
            self.others += 1
            return Scope.NONE
        return Scope.NONE if self._ignored.match_file(_on_one_line(path)) else Scope.WHOLE

    def _is_another_pipelines(self, path: str) -> bool:
        if not path.startswith(self._pipelines):
            return False
        folder, slash, _ = path.removeprefix(self._pipelines).partition("/")
        try:
            check_pipeline_name(folder)
        except SettingsError:
            return False
        return bool(slash)


def _on_one_line(path: str) -> str:
    """No pattern can name a line's end, but wildcards have to match one as any other character."""
    return path.replace("\n", "\x01").replace("\r", "\x01")


def _named(paths: set[str]) -> str:
    more = f" and {len(paths) - 1:,} more" if len(paths) > 1 else ""
    return f"{_shown(min(paths))}{more}"


def _shown(path: str) -> str:
    text = path if path.isprintable() else ascii(path)[1:-1]
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def _nothing(count: int, others: int) -> str:
    if not count:
        return "none: no file changed"
    files = f"{count:,} file{'s' if count > 1 else ''}"
    if others == count:
        return f"none: {files}, all of other pipelines"
    return f"none: {files}, all ignored" + (f" or of other pipelines ({others:,})" if others else "")
