"""The samples that CI/CD runs this pipeline on, end to end: scenes with real handwritten digits, see ``scenes.py``."""

from __future__ import annotations

from pathlib import Path

from .scenes import draw_scenes, material, old_camera, save_scene

#: Enough to learn from in seconds.
SAMPLES = 160


def write_samples(folder: Path) -> None:
    """Writes the samples to ``folder`` as they would lie in the inbox: ``images/<id>.png`` and ``masks/<id>.png``."""
    for number, scene in enumerate(draw_scenes(material(), SAMPLES, [0])):
        save_scene(folder, f"scene-{number:04}", scene, old_camera, [0, number])
