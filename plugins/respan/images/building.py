"""How one image is built, found again, and pushed."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import time
from collections.abc import Iterator

from ml.home import home
from respan.images.engines import Engine, LocalImage
from respan.images.process import EngineProcess
from respan.images.request import BuiltImage, ImageRequest

_LOCKED_POLL_SECONDS = 0.2


def build_image(engine: Engine, process: EngineProcess, request: ImageRequest) -> BuiltImage:
    """Builds what is asked for, or finds it: an image with the same content is tagged anew, never built again.

    It is looked for under its content's tag in the engine's store, then, if images are pushed, in the registry; its
    label must say the same, since a tag can be moved. A retry finds what an earlier try built, whole or in the engine's
    cache of layers. Several tasks that want the same image at the same time take turns.
    """
    request.check()
    with _only_builder(process, request):
        found = _found(engine, request)
        built = found or _built(engine, request)
        engine.tag(request.content_tag, request.revision_tag)
        name = built.name
        if request.push:
            name = f"{request.repository}@{engine.push(request.revision_tag)}"
            engine.push(request.content_tag)
        return BuiltImage(image=name, tag=request.revision_tag, reused=found is not None)


def _found(engine: Engine, request: ImageRequest) -> LocalImage | None:
    image = engine.find(request.content_tag)
    if image is None and request.push:
        image = engine.pull(request.content_tag)
    return image if image is not None and image.content == request.content else None


def _built(engine: Engine, request: ImageRequest) -> LocalImage:
    engine.build(request)
    image = engine.find(request.content_tag)
    if image is None:
        raise RuntimeError(f"{engine.program} built {request.content_tag} but doesn't know it")
    return image


@contextlib.contextmanager
def _only_builder(process: EngineProcess, request: ImageRequest) -> Iterator[None]:
    """Held by one task at a time for each image's content. The kernel lets go of it when the task ends, however."""
    name = hashlib.sha256(request.content_tag.encode()).hexdigest()
    file = home() / "ci_cd" / "images" / f"{name}.lock"
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as stream:
        while not _locked(stream.fileno()):
            time.sleep(min(_LOCKED_POLL_SECONDS, process.seconds_left()))
        yield


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
