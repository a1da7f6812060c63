"""Brings the spans of a window into a run: exactly those, whatever their numbers.

TFX's own ImportExampleGen reads what one glob matches, and no glob matches spans 9 and 10 and nothing else. Here the
window is named, span by span. Spans are TFRecords of tf.Examples already, so they are copied file by file, in order:
the same window always gives the same examples in the same order, which a seeded training needs.

Beside the window's splits ``train`` and ``eval`` there is ``held_out``: the eval examples of all spans that candidate
and champion are compared on. A content keeps its side for ever, so no model was ever trained on them.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from tfx import types
from tfx.components.util import examples_utils
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils, component_spec, standard_artifacts

from ml import windows
from ml.errors import DataError
from ml.spans.truths import LeftOut
from ml.tfx.window_copy import parts_of, write_split
from ml.tfx.window_files import WindowFiles

#: The window's own splits.
SPLITS = ("train", "eval")
#: The split for the comparison with the champion.
HELD_OUT = "held_out"
#: The artifact's custom property with what each split leaves out: JSON, split → :class:`~ml.spans.truths.LeftOut`.
LEFT_OUT = "left_out"


class WindowExampleGenSpec(component_spec.ComponentSpec):
    """``files`` is a :class:`~ml.tfx.window_files.WindowFiles` as JSON; ``fingerprint`` changes whenever a file's
    content does, and with it TFX's cache key."""

    PARAMETERS = {  # noqa: RUF012
        "files": component_spec.ExecutionParameter(type=str),
        "fingerprint": component_spec.ExecutionParameter(type=str),
    }
    INPUTS: dict[str, component_spec.ChannelParameter] = {}  # noqa: RUF012
    OUTPUTS = {  # noqa: RUF012
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
    }


class WindowExecutor(base_executor.BaseExecutor):
    """Copies the examples of each split, each content once, as the newest span has it.

    Raises ``DataError`` if the window has no train or no eval examples, and ``DamagedSpanError`` for a file of the
    window that isn't what was published.
    """

    def Do(  # noqa: N802
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        window = WindowFiles.model_validate_json(exec_properties["files"])
        examples = artifact_utils.get_single_instance(output_dict["examples"])
        parts = parts_of(window)
        examples.split_names = artifact_utils.encode_split_names(list(parts))
        for split in SPLITS:
            if not sum(part.examples for part in parts[split]):
                spans = windows.format(window.window) or "without spans"
                raise DataError(
                    f"window {spans} has no {split} examples: collect new samples and prepare a span of them"
                )
        left_out: dict[str, LeftOut] = {}
        for split, own in parts.items():
            written = write_split(own, artifact_utils.get_split_uri([examples], split))
            left_out[split] = sum((part.superseded.counts for part in own), LeftOut())
            print(_line(split, written, left_out[split]), file=sys.stderr, flush=True)  # noqa: T201
        counts = {split: found.model_dump() for split, found in left_out.items()}
        examples.set_string_custom_property(LEFT_OUT, json.dumps(counts))
        examples_utils.set_payload_format(examples, example_gen_pb2.FORMAT_TF_EXAMPLE)
        examples_utils.set_file_format(examples, "tfrecords_gzip")


def _line(split: str, written: int, left_out: LeftOut) -> str:
    line = f"{split}: {written} examples"
    return f"{line}; {left_out.total} left out, held again by a newer span: {left_out}" if left_out.total else line


class WindowExampleGen(base_component.BaseComponent):
    """The component. ``files``: those of the window and of the comparison."""

    SPEC_CLASS = WindowExampleGenSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(WindowExecutor)

    def __init__(self, files: WindowFiles, fingerprint: str) -> None:
        spec = WindowExampleGenSpec(
            files=files.model_dump_json(),
            fingerprint=fingerprint,
            examples=types.Channel(type=standard_artifacts.Examples),
        )
        super().__init__(spec=spec)
