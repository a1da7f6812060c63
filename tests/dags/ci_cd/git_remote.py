"""A real git remote: a bare repository, and somebody who pushes to it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

#: Nothing of the machine's own git configuration.
_ENVIRONMENT = {
    **os.environ,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    **{f"GIT_{who}_{what}": "tester@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
}


class GitRemote:
    """The bare repository at ``path``. Made without a commit; :meth:`vanish` and :meth:`return_` make it unreachable
    for a while."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "remote.git"
        self._away = folder / "away.git"
        self._work = folder / "work"
        self._pushed = 0
        _git("init", "--quiet", "--bare", "--initial-branch=main", str(self.path))
        _git("init", "--quiet", "--initial-branch=main", str(self._work))

    def push(self, branch: str = "main") -> str:
        """Pushes a new commit; its id."""
        self._pushed += 1
        (self._work / "count.txt").write_text(str(self._pushed))
        _git("add", ".", folder=self._work)
        _git("commit", "--quiet", "--message", f"change {self._pushed}", folder=self._work)
        _git("push", "--quiet", str(self.path), f"HEAD:refs/heads/{branch}", folder=self._work)
        return _git("rev-parse", "HEAD", folder=self._work)

    def reset(self, revision: str, branch: str = "main") -> None:
        """Forces ``branch`` back to an earlier revision."""
        _git("update-ref", f"refs/heads/{branch}", revision, folder=self.path)

    def vanish(self) -> None:
        self.path.rename(self._away)

    def return_(self) -> None:
        self._away.rename(self.path)


def _git(*arguments: str, folder: Path | None = None) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env=_ENVIRONMENT, check=True, capture_output=True, text=True, timeout=60
    )
    return done.stdout.strip()
