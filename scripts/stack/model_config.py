"""``python -m scripts.stack.model_config FILE``: tells TensorFlow Serving which versions serve, as it changes.

Left alone with ``models/``, the server would load the newest version there, also after somebody has rolled back from
it. So ``FILE`` names for each pipeline the versions that ``releases/serving.json`` does, and the server reads it again
every few seconds. Runs until it is stopped.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ml import layout, releases
from ml.errors import RespanError
from ml.home import pipeline_names, pipeline_storage

_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class ServedModel:
    """``folder``: where its versions are; ``versions``: those that serve."""

    name: str
    folder: str
    versions: tuple[int, ...]


def config(models: Iterable[ServedModel]) -> str:
    """The server's ``ModelServerConfig``, in protobuf's text format."""
    return "model_config_list {\n" + "".join(_entry(model) for model in models) + "}\n"


def served_models() -> list[ServedModel]:
    """Every pipeline that has a release, as storage tells it. Raises ``RespanError`` where that can't be read."""
    found = []
    for name in pipeline_names():
        storage = pipeline_storage(name)
        serving = releases.serving(storage)
        if serving is not None:
            found.append(ServedModel(name, storage.uri(layout.MODELS), tuple(sorted(serving.traffic))))
    return found


def write(text: str, file: Path) -> None:
    """``text`` appears at once; a file that says it already is only touched, as a sign of life."""
    if file.exists() and file.read_text("utf-8") == text:
        file.touch()
        return
    draft = file.with_name(f"{file.name}.part")
    draft.write_text(text, "utf-8")
    draft.replace(file)


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts.stack.model_config")
    parser.add_argument("file", type=Path)
    file: Path = parser.parse_args().file
    while True:
        try:
            write(config(served_models()), file)
        except RespanError as error:  # the server goes on with what it has
            print(error, file=sys.stderr, flush=True)  # noqa: T201
        time.sleep(_SECONDS)


def _entry(model: ServedModel) -> str:
    versions = "".join(f"      versions: {version}\n" for version in model.versions)
    return (
        "  config {\n"
        f'    name: "{model.name}"\n'
        f'    base_path: "{model.folder}"\n'
        '    model_platform: "tensorflow"\n'
        f"    model_version_policy {{\n     specific {{\n{versions}     }}\n    }}\n"
        "  }\n"
    )


if __name__ == "__main__":
    main()
