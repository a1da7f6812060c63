"""Brings the spans of a window into a run: exactly those, whatever their numbers.

TFX's own ImportExampleGen reads what one glob matches, and no glob matches spans 9 and 10 and nothing else. Here the
window is named, span by span. Spans are TFRecords of tf.Examples already, so they are copied file by file, in order:
the same window always gives the same examples in the same order, which a seeded training needs.
"""

from __future__ import annotations

import json
from typing import Any

from tfx import types
from tfx.components.util import examples_utils
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.dsl.io import fileio
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils, component_spec, standard_artifacts

from ml.errors import DataError

SPLITS = ("train", "eval")


class WindowExampleGenSpec(component_spec.ComponentSpec):
    """``files`` is JSON, ``{"train": [uri, …], "eval": [uri, …]}``; ``fingerprint`` changes whenever a file's content
    does, and with it TFX's cache key."""

    PARAMETERS = {  # noqa: RUF012
        "files": component_spec.ExecutionParameter(type=str),
        "fingerprint": component_spec.ExecutionParameter(type=str),
    }
    INPUTS: dict[str, component_spec.ChannelParameter] = {}  # noqa: RUF012
    OUTPUTS = {  # noqa: RUF012
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
    }


class WindowExecutor(base_executor.BaseExecutor):
    """Copies the files of each split. Raises ``DataError`` for a split without files."""

    def Do(  # noqa: N802
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        files: dict[str, list[str]] = json.loads(exec_properties["files"])
        examples = artifact_utils.get_single_instance(output_dict["examples"])
        examples.split_names = artifact_utils.encode_split_names(list(SPLITS))
        for split in SPLITS:
            if not files.get(split):
                raise DataError(f"the window has no {split} examples: collect more samples of each label")
            folder = artifact_utils.get_split_uri([examples], split)
            fileio.makedirs(folder)
            for number, source in enumerate(files[split]):
                target = f"{folder}/data_tfrecord-{number:05d}-of-{len(files[split]):05d}.gz"
                fileio.copy(source, target, overwrite=True)
        examples_utils.set_payload_format(examples, example_gen_pb2.FORMAT_TF_EXAMPLE)
        examples_utils.set_file_format(examples, "tfrecords_gzip")


class WindowExampleGen(base_component.BaseComponent):
    """The component. ``files``: the window's span files for each split, in order."""

    SPEC_CLASS = WindowExampleGenSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(WindowExecutor)

    def __init__(self, files: dict[str, list[str]], fingerprint: str) -> None:
        spec = WindowExampleGenSpec(
            files=json.dumps(files, sort_keys=True),
            fingerprint=fingerprint,
            examples=types.Channel(type=standard_artifacts.Examples),
        )
        super().__init__(spec=spec)
