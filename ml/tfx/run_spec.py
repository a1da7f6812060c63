"""What one training run is, as plain values: everything that the factory needs and the settings don't say."""

from __future__ import annotations

from dataclasses import dataclass, field

from ml.tfx.window_files import WindowFiles


@dataclass(frozen=True, slots=True)
class Champion:
    """The release that a run's candidate is compared with: its ``version``, the training run that it came from, and the
    URI of its model. Version 0 stands for none: nothing serves yet, and nothing is at the URI."""

    version: int = 0
    run: str = ""
    uri: str = "<no champion>"


NO_CHAMPION = Champion()


@dataclass(frozen=True, slots=True)
class RunSpec:
    """One run's inputs and places; URIs are plain paths or ``gs://…``.

    ``files``: the files of the window's spans and of those for the comparison. ``fingerprint`` changes with any of
    their contents. ``schema_file``: a copy of the reviewed schema whose name changes with its content. ``sources``:
    hash of the code that the models depend on. Both are part of TFX's cache keys. ``comparison``: where the
    comparison of candidate and champion is written.
    """

    run_id: str
    pipeline_root: str
    push_folder: str
    schema_file: str
    sources: str
    comparison: str = ""
    champion: Champion = NO_CHAMPION
    fingerprint: str = ""
    files: WindowFiles = field(default_factory=WindowFiles)
