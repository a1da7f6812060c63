"""Folders of pipelines as a checkout has them."""

from __future__ import annotations

import json
from pathlib import Path

A, B = "a" * 40, "b" * 64

SETTINGS = "from pydantic import BaseModel\nclass ModelSettings(BaseModel):\n    depth: int = 1\n"


def write_folder(folder: Path, *, settings: str = "kind: image_classification\n", nodes: int = 2) -> Path:
    """A light pipeline of ``nodes`` components, with tests, bytecode and hidden files beside its modules."""
    graph = {
        "pipeline": folder.name,
        "nodes": [{"id": f"Node{number}", "type": "Node", "upstream": []} for number in range(nodes)],
        "source": "",
    }
    files = {
        "settings.yaml": settings,
        "settings.py": SETTINGS,
        "model.py": "depth = 1\n",
        "graph.json": json.dumps(graph),
        "layers/attention.py": "heads = 8\n",
        "model_test.py": "def test_depth() -> None: ...\n",
        "layers/attention_test.py": "",
        "__pycache__/model.cpython-310.pyc": "bytecode",
        "layers/old.pyc": "bytecode",
        ".hidden": "",
        ".ipynb_checkpoints/model-checkpoint.py": "",
    }
    for name, content in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return folder
