"""The documents of CI/CD in storage."""

from __future__ import annotations

from datetime import datetime
from enum import Enum

from pydantic import Field

from ml.records import Record


class Scope(str, Enum):
    """What a change needs: *none* at all, the pipeline's *modules* copied, or an image of the *whole* code base."""

    NONE = "none"
    MODULES = "modules"
    WHOLE = "whole"


class ProcessedRevision(Record):
    """``revisions/branches/<branch>.json``: the newest revision of a branch that went all the way, and its scope.

    ``run`` is the run of the ci_cd DAG.
    """

    branch: str
    revision: str
    scope: Scope
    run: str
    at: datetime


class RevisionClaim(Record):
    """``revisions/<revision>/claim.json``: which run processes the revision. Each revision has one.

    ``run`` is ``<dag id>/<run id>``.
    """

    run: str
    since: datetime


class ModuleFile(Record):
    """One file of a revision's modules; ``path`` is relative to the pipeline's folder, ``sha256`` in hex."""

    path: str
    size: int = Field(ge=0)
    sha256: str


class Modules(Record):
    """``modules/<revision>/modules.json``: the pipeline's folder at a revision, complete when this file is there.

    ``at``: when they were copied. ``image`` names the container image of the whole code base at that revision, with its
    digest; None for none.
    """

    pipeline: str
    revision: str
    scope: Scope
    files: list[ModuleFile]
    at: datetime
    image: str | None = None


class Shipped(Record):
    """``modules/shipped.json``: the revision whose modules were copied last. What trains before the first release."""

    revision: str
    at: datetime


class PassedStep(Record):
    """``revisions/passed/<step>/<key>.json``: a step that passed for some content, and needs no second run.

    ``result`` is what the step returned.
    """

    step: str
    revision: str
    at: datetime
    result: dict[str, object]
