"""A pipeline's spec as the tasks that it asks for, in the order in which they may start."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

import grpc

from tests.gcp.service import Refusal


@dataclass(frozen=True)
class Task:
    """One task. ``executor`` has one of the keys ``container``, ``resolver`` and ``importer``."""

    name: str
    spec: Mapping[str, Any]
    component: Mapping[str, Any]
    executor: Mapping[str, Any]
    upstream: frozenset[str]

    @property
    def caching(self) -> bool:
        return bool(self.spec.get("cachingOptions", {}).get("enableCache"))

    @property
    def retries(self) -> int:
        return int(self.spec.get("retryPolicy", {}).get("maxRetryCount", 0))

    @property
    def driver(self) -> Mapping[str, Any] | None:
        """The container that runs before the cache is asked."""
        driver: Mapping[str, Any] | None = self.executor["container"].get("lifecycle", {}).get("preCacheCheck")
        return driver

    @property
    def schema_title(self) -> str:
        """The type of its executions in ML Metadata."""
        kind = next(kind for kind in ("container", "resolver", "importer") if kind in self.executor)
        return f"system.{kind.capitalize()}Execution"

    def inputs(self, kind: str) -> Mapping[str, Any]:
        """``kind``: ``parameters`` or ``artifacts``."""
        found: Mapping[str, Any] = self.spec.get("inputs", {}).get(kind, {})
        return found

    def outputs(self, kind: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.component.get("outputDefinitions", {}).get(kind, {})
        return found


def tasks_of(spec: Mapping[str, Any]) -> list[Task]:
    """The tasks of the root DAG, each after all that it waits for; otherwise by name, for a spec has no order.

    Raises ``Refusal``: INVALID_ARGUMENT for what doesn't fit together, UNIMPLEMENTED for DAGs in DAGs, loops and
    conditions, which the service knows and this double doesn't.
    """
    given = dict(sorted(spec["root"]["dag"].get("tasks", {}).items()))
    executors = spec["deploymentSpec"].get("executors", {})
    found = {}
    for name, task in given.items():
        component = _component(spec, name, task)
        label = component.get("executorLabel", "")
        if label not in executors:
            raise _invalid(f"Task '{name}': the deployment spec has no executor '{label}'.")
        upstream = frozenset(task.get("dependentTasks", [])) | frozenset(_producers(task))
        for other in sorted(upstream - set(given)):
            raise _invalid(f"Task '{name}' depends on task '{other}', which doesn't exist.")
        found[name] = Task(name, task, component, executors[label], upstream)
    try:
        order = list(TopologicalSorter({name: sorted(task.upstream) for name, task in found.items()}).static_order())
    except CycleError as error:
        raise _invalid(f"The tasks of the pipeline form a cycle: {', '.join(error.args[1])}.") from error
    return [found[name] for name in order]


def _component(spec: Mapping[str, Any], name: str, task: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = task.get("componentRef", {}).get("name", "")
    component: Mapping[str, Any] | None = spec.get("components", {}).get(reference)
    if component is None:
        raise _invalid(f"Task '{name}' refers to component '{reference}', which doesn't exist.")
    unknown = [key for key in ("parameterIterator", "artifactIterator") if key in task]
    unknown += ["triggerPolicy.condition"] if task.get("triggerPolicy", {}).get("condition") else []
    strategy = task.get("triggerPolicy", {}).get("strategy", "ALL_UPSTREAM_TASKS_SUCCEEDED")
    unknown += [strategy] if strategy != "ALL_UPSTREAM_TASKS_SUCCEEDED" else []
    unknown += ["dag"] if "dag" in component else []
    for key in unknown:
        raise Refusal(grpc.StatusCode.UNIMPLEMENTED, f"Task '{name}': this double runs no task with {key}.")
    return component


def _producers(task: Mapping[str, Any]) -> Iterator[str]:
    inputs = task.get("inputs", {})
    for kind, key in (("artifacts", "taskOutputArtifact"), ("parameters", "taskOutputParameter")):
        for value in inputs.get(kind, {}).values():
            if key in value:
                yield value[key]["producerTask"]


def _invalid(message: str) -> Refusal:
    return Refusal(grpc.StatusCode.INVALID_ARGUMENT, message)
