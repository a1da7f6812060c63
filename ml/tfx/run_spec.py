"""What one training run is, as plain values: everything that the factory needs and the settings don't say."""

from __future__ import annotations

from dataclasses import dataclass, field

from ml.tfx.window_files import WindowFiles


@dataclass(frozen=True, slots=True)
class RunSpec:
    """One run's inputs and places; URIs are plain paths or ``gs://…``.

    ``files``: the files of the window's spans and of those for the comparison. ``fingerprint`` changes with any of
    their contents. ``schema_file``: a copy of the reviewed schema whose name changes with its content. ``sources``:
    hash of the code that the models depend on. Both are part of TFX's cache keys.
    """

    run_id: str
    pipeline_root: str
    push_folder: str
    schema_file: str
    sources: str
    fingerprint: str = ""
    files: WindowFiles = field(default_factory=WindowFiles)
