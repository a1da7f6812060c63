"""Pipeline jobs for tests that need one and run no container: the components of a training, in their order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from google.cloud import aiplatform_v1

IMAGE = "europe-west4-docker.pkg.dev/respan-test/respan/trainer:1"

#: Task → tasks that it takes an artifact from; the first output of each is named like the task, in lower case.
TRAINING: Mapping[str, Sequence[str]] = {
    "ImportExampleGen": (),
    "ImportSchemaGen": (),
    "StatisticsGen": ("ImportExampleGen", "ImportSchemaGen"),
    "ExampleValidator": ("StatisticsGen", "ImportSchemaGen"),
    "Transform": ("ImportExampleGen", "ImportSchemaGen"),
    "Trainer": ("ImportExampleGen", "Transform", "ImportSchemaGen"),
    "Evaluator": ("ImportExampleGen", "Trainer", "ImportSchemaGen"),
    "Pusher": ("Trainer", "Evaluator"),
}


def pipeline_spec(
    tasks: Mapping[str, Sequence[str]] = TRAINING,
    *,
    name: str = "digits",
    commands: Mapping[str, list[str]] | None = None,
    retries: int = 0,
    caching: bool = True,
    parameters: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """A spec of container tasks: task → tasks that it follows, each with one output of type tfx.<task>.

    ``commands``: what a task runs; ``parameters``: the pipeline's own, name → type, all given to every task.
    """
    declared = {key: {"parameterType": kind} for key, kind in (parameters or {}).items()}
    return {
        "pipelineInfo": {"name": name},
        "schemaVersion": "2.1.0",
        "sdkVersion": "tfx-1.16.0",
        "root": {
            "inputDefinitions": {"parameters": declared},
            "dag": {"tasks": {task: _task(task, after, retries, caching, declared) for task, after in tasks.items()}},
        },
        "components": {
            task: {
                "executorLabel": f"{task}_executor",
                "inputDefinitions": {
                    "parameters": declared,
                    "artifacts": {other.lower(): _type(other) for other in after},
                },
                "outputDefinitions": {"artifacts": {task.lower(): _type(task)}},
            }
            for task, after in tasks.items()
        },
        "deploymentSpec": {
            "executors": {
                f"{task}_executor": {
                    "container": {"image": IMAGE, "command": list((commands or {}).get(task, ["true"]))}
                }
                for task in tasks
            }
        },
    }


def pipeline_job(spec: Mapping[str, Any] | None = None, **fields: Any) -> aiplatform_v1.PipelineJob:
    """A job of ``spec`` below ``gs://respan-test/pipelines``; ``fields`` are set, or replaced, as they are."""
    config = {"gcs_output_directory": "gs://respan-test/pipelines"} | fields.pop("runtime_config", {})
    return aiplatform_v1.PipelineJob(
        {"display_name": "digits", "pipeline_spec": spec or pipeline_spec(), "runtime_config": config, **fields}
    )


def _task(task: str, after: Sequence[str], retries: int, caching: bool, declared: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "taskInfo": {"name": task},
        "componentRef": {"name": task},
        "dependentTasks": list(after),
        "cachingOptions": {"enableCache": caching},
        "inputs": {
            "parameters": {key: {"componentInputParameter": key} for key in declared},
            "artifacts": {
                other.lower(): {"taskOutputArtifact": {"producerTask": other, "outputArtifactKey": other.lower()}}
                for other in after
            },
        },
    }
    if retries:
        found["retryPolicy"] = {"maxRetryCount": retries}
    return found


def _type(task: str) -> dict[str, Any]:
    return {"artifactType": {"instanceSchema": f"title: tfx.{task}\ntype: object\n"}}
