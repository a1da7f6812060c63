"""Where a task's inputs come from, and what the tasks give that need no container."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.gcp.services.artifacts import Artifact, MetadataStore
from tests.gcp.services.pipelines_placeholders import MissingValueError, substitute
from tests.gcp.services.pipelines_plan import Task
from tests.gcp.services.pipelines_tasks import TaskRun
from tests.gcp.services.vertex_resources import invalid


def parameters_for(task: Task, given: Mapping[str, Any], runs: Mapping[str, TaskRun]) -> dict[str, Any]:
    """The values of ``task``'s input parameters; ``given``: the pipeline's. Raises ``Refusal``."""

    def value(key: str, source: Mapping[str, Any]) -> Any:
        if "runtimeValue" in source:
            return source["runtimeValue"].get("constant")
        if "componentInputParameter" in source:
            return given.get(source["componentInputParameter"])
        if "taskOutputParameter" in source:
            wanted = source["taskOutputParameter"]
            return runs[wanted["producerTask"]].output_parameters.get(wanted["outputParameterKey"])
        raise invalid(f"Task '{task.name}': parameter '{key}' has no source.")

    declared = task.component.get("inputDefinitions", {}).get("parameters", {})
    defaults = {key: one["defaultValue"] for key, one in declared.items() if "defaultValue" in one}
    return {**defaults, **{key: value(key, source) for key, source in task.inputs("parameters").items()}}


def artifacts_for(task: Task, runs: Mapping[str, TaskRun]) -> dict[str, list[Artifact]]:
    """The artifacts that ``task`` gets, by input."""
    found = {}
    for key, source in task.inputs("artifacts").items():
        wanted = source["taskOutputArtifact"]
        found[key] = list(runs[wanted["producerTask"]].outputs.get(wanted["outputArtifactKey"], []))
    return found


def resolve(run: TaskRun, store: MetadataStore) -> None:
    """The newest artifacts that match; none where the query names something that isn't there."""
    for key, query in run.task.executor["resolver"].get("outputArtifactQueries", {}).items():
        try:
            expression = substitute(query.get("filter", ""), run.executor_input, {})
        except MissingValueError:
            run.outputs[key] = []
        else:
            run.outputs[key] = store.query(expression, int(query.get("limit", 1)))


def bring(run: TaskRun, store: MetadataStore, contexts: set[str]) -> None:
    """The artifact at the URI that an importer names; a known one unless it is to be imported anew."""
    importer = run.task.executor["importer"]
    given = importer["artifactUri"]
    uri = str(given["constant"] if "constant" in given else run.parameters[given["runtimeParameter"]])
    (key,) = run.task.outputs("artifacts")
    known = [] if importer.get("reimport") else store.query(f'uri="{uri}" AND state=LIVE', 1)
    artifact = known[0] if known else store.create(uri, importer["typeSchema"], contexts)
    artifact.contexts |= contexts
    store.publish(artifact, metadata=importer.get("metadata", {}))
    run.outputs[key] = [artifact]
