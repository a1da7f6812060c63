"""A pipeline's modules at a revision, in storage: what CI/CD ships, and what a training run is given.

``modules/<revision>/`` holds the pipeline's folder without its tests and appears at once, with ``modules.json``.
``modules/shipped.json`` names the revision that was copied last. :mod:`ml.ci_cd.module_cache` brings them to a machine.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from pydantic import ValidationError

from ml import layout
from ml.ci_cd.records import ModuleFile, Modules, Scope, Shipped
from ml.ci_cd.revisions import check_revision_name, shipped
from ml.errors import ConflictError, DataError, NotFoundError
from ml.parallel import map_ahead
from ml.pipeline_files import pipeline_files
from ml.records import now
from ml.storage import ABSENT, Storage
from ml.temporary import temporary_folder

#: A pipeline's folder holds code and small files; weights and data belong into storage.
MOST_FILES = 2_000
MOST_BYTES = 100 * 1024 * 1024

_ATTEMPTS = 20
_TOLD = 10


def copy_modules(
    storage: Storage, pipeline: str, folder: Path, revision: str, scope: Scope, image: str | None = None
) -> Modules:
    """Copies ``folder``, the pipeline's at ``revision``, to storage, and lets it be the shipped one.

    Tests, hidden files and what Python compiled stay behind. A repeat changes nothing, whatever stopped the first call,
    but that ``image`` is recorded where there was none, and a revision copied later stays the shipped one.

    Raises ``NotFoundError`` where the folder is no pipeline's, ``DataError`` for a link or a special file in it, a name
    that isn't UTF-8, or too much, and ``ConflictError`` where other files or another image have this revision already.
    """
    if not (folder / "settings.yaml").is_file():
        raise NotFoundError(f"{folder} is no pipeline's folder: it has no settings.yaml")
    contents = _contents(folder)
    files = [
        ModuleFile(path=path, size=len(content), sha256=hashlib.sha256(content).hexdigest())
        for path, content in contents.items()
    ]
    wanted = Modules(
        pipeline=pipeline,
        revision=check_revision_name(revision),
        scope=scope,
        files=files,
        at=now(),
        image=image or None,
    )
    modules = _published(storage, wanted, contents)
    _ship(storage, modules)
    return modules


def read_modules(storage: Storage, revision: str) -> Modules:
    """What was copied of ``revision``. Raises ``NotFoundError`` naming what there is, ``SettingsError`` for text that
    is no revision, and ``DataError`` for a record that can't be read."""
    name = layout.modules(check_revision_name(revision), layout.MODULES_RECORD)
    try:
        return Modules.from_json(storage.read(name))
    except NotFoundError:
        there = copied_revisions(storage)
        told = ", ".join(known[:12] for known in there[:_TOLD]) + (", …" if len(there) > _TOLD else "")
        raise NotFoundError(
            f"the modules of revision {revision} were never copied to {storage.root}; there are: {told or 'none'}"
        ) from None
    except ValidationError as error:
        raise DataError(f"{storage.uri(name)} can't be read: {error.errors()[0]['msg']}") from error


def copied_revisions(storage: Storage) -> list[str]:
    """Every revision whose modules are there, sorted."""
    revisions = storage.folders(layout.MODULES)
    copied = map_ahead(lambda revision: storage.exists(layout.modules(revision, layout.MODULES_RECORD)), revisions)
    return [revision for revision, is_copied in zip(revisions, copied, strict=True) if is_copied]


def _contents(folder: Path) -> dict[str, bytes]:
    """Path relative to ``folder`` → content of each file. Read once, so that what is copied is what was hashed."""
    contents: dict[str, bytes] = {}
    room = MOST_BYTES
    for file in pipeline_files(folder):
        name = file.relative_to(folder).as_posix()
        if not name.isprintable() or name == layout.MODULES_RECORD:
            raise DataError(f"{folder} holds a file named {name!r}, which modules can't have: rename it")
        contents[name] = _read(file, room)
        room -= len(contents[name])
        if len(contents) > MOST_FILES:
            raise DataError(f"{folder} holds more than {MOST_FILES:,} files: keep data and weights elsewhere")
    return contents


def _read(file: Path, room: int) -> bytes:
    try:
        # O_NOFOLLOW: a link must not lead out of the checkout. O_NONBLOCK: a pipe must not be waited for.
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as stream:  # noqa: PTH123 - a file descriptor
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise DataError(f"{file} is no plain file: a pipeline's folder may hold no other")
            content = stream.read(room + 1)
    except OSError as error:
        if file.is_symlink():
            raise DataError(f"{file} is a symbolic link: a pipeline's folder may hold none") from None
        raise DataError(f"{file} can't be read: {error.strerror}") from error
    if len(content) > room:
        raise DataError(f"{file} and what is beside it are more than {MOST_BYTES >> 20} MiB: keep weights elsewhere")
    return content


def _published(storage: Storage, wanted: Modules, contents: dict[str, bytes]) -> Modules:
    if storage.exists(layout.modules(wanted.revision, layout.MODULES_RECORD)):
        return _same(storage, wanted)
    with temporary_folder() as folder:
        for name, content in contents.items():
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        (folder / layout.MODULES_RECORD).write_bytes(wanted.to_json())
        try:
            storage.publish(folder, layout.modules(wanted.revision), marker=layout.MODULES_RECORD)
        except ConflictError:  # somebody else was quicker
            return _same(storage, wanted)
    return wanted


def _same(storage: Storage, wanted: Modules) -> Modules:
    """What is there of the revision, with ``wanted``'s image where it had none."""
    name = layout.modules(wanted.revision, layout.MODULES_RECORD)
    for _ in range(_ATTEMPTS):
        generation = storage.stat(name).generation
        found = read_modules(storage, wanted.revision)
        differing = set(found.files) ^ set(wanted.files)
        if differing:
            path = min(file.path for file in differing)
            raise ConflictError(
                f"revision {wanted.revision} was copied before with other files: {path} differs; a revision's "
                "modules never change, so push a new revision"
            )
        if wanted.image in (None, found.image):
            return found
        if found.image is not None:
            raise ConflictError(
                f"revision {wanted.revision} was copied before with image {found.image}, which is not {wanted.image}"
            )
        completed = found.model_copy(update={"image": wanted.image, "scope": wanted.scope})
        try:
            storage.write(name, completed.to_json(), if_generation=generation)
        except ConflictError:
            continue
        return completed
    raise ConflictError(f"{storage.uri(name)} changes all the time: try again later")


def _ship(storage: Storage, modules: Modules) -> None:
    wanted = Shipped(revision=modules.revision, at=modules.at)
    for _ in range(_ATTEMPTS):
        generation = storage.stat(layout.SHIPPED).generation if storage.exists(layout.SHIPPED) else ABSENT
        current = shipped(storage)
        # The retry of an older revision must not push aside a newer one.
        if current is not None and (current == wanted or current.at > wanted.at):
            return
        try:
            storage.write(layout.SHIPPED, wanted.to_json(), if_generation=generation)
        except ConflictError:
            continue
        return
    raise ConflictError(f"{storage.uri(layout.SHIPPED)} changes all the time: try again later")
