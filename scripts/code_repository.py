"""A git remote with Respan's code in it, on this machine: what the CI/CD demo and the end-to-end tests push to."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
BRANCH = "main"

#: State and caches in the project's folder that belong to no repository.
_LEFT_OUT = shutil.ignore_patterns("var", ".*_cache", ".hypothesis", ".git", "__pycache__", "*.pyc")

#: Nothing of the person's own git settings has a say, such as signing or hooks.
_ENVIRONMENT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_AUTHOR_NAME": "Respan",
    "GIT_AUTHOR_EMAIL": "respan@localhost",
    "GIT_COMMITTER_NAME": "Respan",
    "GIT_COMMITTER_EMAIL": "respan@localhost",
}


class CodeRepository:
    """``folder/remote.git``, a bare repository, and ``folder/work``, from which is pushed to it. Needs git."""

    def __init__(self, folder: Path) -> None:
        self.remote = folder / "remote.git"
        self.work = folder / "work"

    def create(self, files: Mapping[str, str | None] | None = None) -> str:
        """Makes both anew, with the project as its first revision, ``files`` over it; returns the revision."""
        for folder in (self.remote, self.work):
            shutil.rmtree(folder, ignore_errors=True)
        self._git(PROJECT, "init", "--quiet", "--bare", f"--initial-branch={BRANCH}", str(self.remote))
        shutil.copytree(PROJECT, self.work, ignore=_LEFT_OUT)
        self._git(self.work, "init", "--quiet", f"--initial-branch={BRANCH}")
        self._git(self.work, "remote", "add", "origin", str(self.remote))
        return self.push("Respan as it is", files or {})

    def push(self, message: str, files: Mapping[str, str | None], *, branch: str = BRANCH) -> str:
        """Commits ``files`` (path → new content, None: removed) and pushes to ``branch``; returns the revision."""
        for path, content in files.items():
            file = self.work / path
            if content is None:
                file.unlink()
                continue
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content, "utf-8")
        self._git(self.work, "add", "--all")
        self._git(self.work, "commit", "--quiet", "--allow-empty", "--message", message)
        self._git(self.work, "push", "--quiet", "--force", "origin", f"HEAD:{branch}")
        return self._git(self.work, "rev-parse", "HEAD").strip()

    def edited(self, path: str, edit: Callable[[str], str]) -> dict[str, str | None]:
        """``{path: what edit makes of its content}``, for :meth:`push`. Raises ``ValueError`` if that is the same."""
        before = (self.work / path).read_text("utf-8")
        after = edit(before)
        if after == before:
            raise ValueError(f"the edit of {path} changes nothing")
        return {path: after}

    def _git(self, folder: Path, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments],
            cwd=folder,
            env={**os.environ, **_ENVIRONMENT},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"git {arguments[0]} failed: {done.stderr.strip()}")
        return done.stdout
