"""ExampleValidator that stops the run at an anomaly, where TFX's own only records it."""

from __future__ import annotations

from typing import Any

from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx import types
from tfx.components.example_validator.component import ExampleValidator
from tfx.components.example_validator.executor import DEFAULT_FILE_NAME, Executor
from tfx.dsl.components.base import executor_spec
from tfx.dsl.io import fileio
from tfx.proto.orchestration import execution_result_pb2
from tfx.types import artifact_utils

from ml.errors import DataError


class StrictExecutor(Executor):
    """Validates as TFX does, then raises ``DataError`` that lists split, feature and anomaly in one line."""

    def Do(  # noqa: N802
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> execution_result_pb2.ExecutorOutput:
        output = super().Do(input_dict, output_dict, exec_properties)
        artifact = artifact_utils.get_single_instance(output_dict["anomalies"])
        found = []
        for split in artifact_utils.decode_split_names(artifact.split_names):
            file = f"{artifact_utils.get_split_uri([artifact], split)}/{DEFAULT_FILE_NAME}"
            with fileio.open(file, "rb") as stream:
                anomalies = anomalies_pb2.Anomalies.FromString(stream.read())
            found += [
                f"{split}: feature {name!r}: {info.short_description}: {info.description}"
                for name, info in sorted(anomalies.anomaly_info.items())
            ]
            if anomalies.HasField("dataset_anomaly_info"):
                found.append(f"{split}: {anomalies.dataset_anomaly_info.description}")
        if found:
            raise DataError("anomalies against the pipeline's schema.pbtxt: " + " ".join("; ".join(found).split()))
        return output


class StrictExampleValidator(ExampleValidator):
    """The component; takes and gives what TFX's ExampleValidator does."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(StrictExecutor)
