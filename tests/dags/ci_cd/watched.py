"""The pipeline that tests watch a branch for."""

from __future__ import annotations

import json
from typing import Any

from ml.ci_cd.records import ProcessedRevision, Scope
from ml.ci_cd.revisions import record_processed
from ml.home import pipeline_storage
from ml.records import now
from tests.dags.ci_cd.git_remote import GitRemote

WATCHED = "watched"


def settings_of(remote: GitRemote, **more: Any) -> str:
    """A settings file; ``more`` are keys of ``ci_cd``."""
    ci_cd = {"remote": str(remote.path), "poll_seconds": 0.02, "unreachable_seconds": 60, **more}
    return f"kind: image_classification\nci_cd: {json.dumps(ci_cd)}\n"


def processed(revision: str, branch: str = "main") -> None:
    """A run has processed the revision."""
    record = ProcessedRevision(branch=branch, revision=revision, scope=Scope.NONE, run="r", at=now())
    record_processed(pipeline_storage(WATCHED), record)
