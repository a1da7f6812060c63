"""Pipelines for tests: folders as a user writes them, made from those that come with Respan."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from ml.graph import graph_source
from ml.settings import load_settings_file

PROJECT = Path(__file__).resolve().parent.parent.parent


def write_pipeline(
    folder: Path, name: str, settings: str = "kind: image_classification\n", like: str = "image_classification"
) -> Path:
    """A pipeline with the modules of another one, and a compiled graph that is up to date; its folder."""
    pipeline = folder / name
    shutil.copytree(
        PROJECT / "ml" / "pipelines" / like,
        pipeline,
        ignore=shutil.ignore_patterns("*_test.py", "__pycache__"),
    )
    (pipeline / "settings.yaml").write_text(settings)
    graph = json.loads((pipeline / "graph.json").read_text())
    source = graph_source(load_settings_file(pipeline / "settings.yaml"))
    (pipeline / "graph.json").write_text(json.dumps({**graph, "pipeline": name, "source": source}))
    return pipeline
