"""Real git repositories for tests: a person's clone, pushed to a bare one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from ml.ci_cd_settings import CiCdSettings
from ml.settings import Settings

PERSON = {
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@localhost",
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@localhost",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
}


def git(*arguments: str, cwd: Path, stdin: bytes = b"") -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=cwd, input=stdin, capture_output=True, check=False, env={**os.environ, **PERSON}
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().strip()


class Repository:
    """A bare repository ``folder / "remote.git"``, and a clone that pushes to it."""

    def __init__(self, folder: Path, *, object_format: str = "sha1") -> None:
        self.bare = folder / "remote.git"
        self.work = folder / "work"
        for path, options in ((self.bare, ["--bare"]), (self.work, [])):
            path.mkdir(parents=True)
            git("init", "-q", "--initial-branch=main", f"--object-format={object_format}", *options, cwd=path)
        git("remote", "add", "origin", str(self.bare), cwd=self.work)

    def push(self, files: Mapping[str, str | None], *, branch: str = "main", force: bool = False) -> str:
        """Writes ``files`` (None: deletes), commits and pushes; returns the revision."""
        for name, text in files.items():
            file = self.work / name
            if text is None:
                file.unlink()
            else:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
        git("add", "-A", cwd=self.work)
        return self.push_staged(branch=branch, force=force)

    def push_staged(self, *, branch: str = "main", force: bool = False) -> str:
        git("commit", "-q", "--allow-empty", "-m", "a change", cwd=self.work)
        return self.push_head(branch=branch, force=force)

    def push_head(self, *, branch: str = "main", force: bool = False) -> str:
        git("push", "-q", *(["--force"] if force else []), "origin", f"HEAD:refs/heads/{branch}", cwd=self.work)
        return git("rev-parse", "HEAD", cwd=self.work)

    def forget(self) -> None:
        """Drops what no branch reaches any more, as a server does some day."""
        git("reflog", "expire", "--expire=now", "--all", cwd=self.bare)
        git("gc", "-q", "--prune=now", cwd=self.bare)


def settings(remote: str | Path, connection: str | None = None) -> Settings:
    ci_cd = CiCdSettings.model_validate({"remote": str(remote), "connection": connection})
    return Settings(name="tried", kind="image_classification", ci_cd=ci_cd)
