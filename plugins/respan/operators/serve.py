"""The task that lets a release serve, on either target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from airflow.sdk import Context

from ml import releases
from ml.errors import RemoteError, SettingsError
from ml.home import pipeline_storage
from ml.names import check_pipeline_name
from ml.settings import Settings, load_settings
from ml.vertex_records import RegisteredModel
from respan.failures import told_to_airflow
from respan.operators.command import MlCommandOperator
from respan.vertex.operations import Operation
from respan.vertex.place import Place, place_of

#: The key of the operation that is awaited, in Airflow's task state store.
_AWAITED = "vertex_operation"


class ServeOperator(MlCommandOperator):
    """Gives a released version its share of the traffic, and returns what ``python -m ml release serve`` does.

    Where the pipeline's settings say ``target: vertex``, wherever the version was trained, it is first registered in
    the model registry and, where ``vertex.endpoint.enabled``, deployed to the pipeline's endpoint next to those that
    run; then the traffic shifts.
    Only when the endpoint has it, storage says so too and the alias ``production`` moves; at last what serves no longer
    is undeployed. Until the shift, those that served before have all the traffic; a retry goes on where a try stopped.
    What takes minutes is awaited in the triggerer.

    :param pipeline: the pipeline's name.
    :param version: the release (templated, or another task's output); None, where none was released, does nothing.
    :param share: percent of the traffic; the rest stays with those that serve, in their proportions.
    :param reason: recorded in the history of who served; None: what the release was made for.
    :param again: whether a version that has served before is put back; otherwise nothing changes then, so that a retry
        can't undo a roll back.
    """

    template_fields: Sequence[str] = (*MlCommandOperator.template_fields, "version", "share", "reason")

    def __init__(
        self,
        *,
        pipeline: str,
        version: Any,
        share: Any = 100,
        reason: Any = None,
        again: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(arguments=["release", "serve", check_pipeline_name(pipeline)], **kwargs)
        self.pipeline = pipeline
        self.version = version
        self.share = share
        self.reason = reason
        self.again = again

    def execute(self, context: Context) -> Any:
        if _is_nothing(self.version):
            self.log.info("nothing was released: who serves stays as it is")
            return None
        with told_to_airflow():
            settings = load_settings(self.pipeline)
            on_vertex = settings.target == "vertex"
            if on_vertex:
                self._prepare(context, settings)
        document = self._run_serve(context)
        return self._finish(context, settings, document) if on_vertex else document

    def prepared(self, context: Context, event: Any) -> Any:
        """Resumes when an operation before the change has ended."""
        return self.execute(context)

    def tidied(self, context: Context, event: Any, document: Any) -> Any:
        """Resumes when an operation after the change has ended."""
        with told_to_airflow():
            settings = load_settings(self.pipeline)
        return self._finish(context, settings, document)

    def _run_serve(self, context: Context) -> Any:
        options = [f"--version={self.version}", f"--share={self.share}"]
        if not _is_nothing(self.reason):
            options.append(f"--reason={self.reason}")
        if self.again:
            options.append("--again")
        self.arguments = [*self.arguments, *options]
        return super().execute(context)

    def _wanted(self, version: int) -> dict[int, int]:
        """The traffic that the command will make."""
        now = releases.serving(pipeline_storage(self.pipeline))
        if now is not None and not self.again and any(version in past.traffic for past in now.history):
            return now.traffic
        return releases.traffic_with(now.traffic if now else {}, version, int(self.share))

    def _prepare(self, context: Context, settings: Settings) -> None:
        """Until the release is registered, and the endpoint gives it its share."""
        from respan.vertex.endpoint import check_endpoint_settings

        check_endpoint_settings(settings)
        storage, version = pipeline_storage(self.pipeline), int(self.version)
        releases.read_release(storage, version)
        serving = _Serving(self, context, settings, "prepared", {})
        serving.attach()
        serving.registered(version)
        if settings.vertex.endpoint.enabled:
            serving.bring_to(self._wanted(version), undeploy=False)

    def _finish(self, context: Context, settings: Settings, document: Any) -> Any:
        """Until registry and endpoint have what storage says, whoever changed that last."""
        from respan.vertex import registry

        with told_to_airflow():
            storage = pipeline_storage(self.pipeline)
            serving = _Serving(self, context, settings, "tidied", {"document": document})
            serving.attach()
            now = releases.serving(storage)
            if now is None:
                return document
            registered = serving.registered(now.version)
            registry.leave_one(serving.place, settings, registered, now.version)
            registry.set_production(serving.place, registered)
            if settings.vertex.endpoint.enabled:
                serving.bring_to(now.traffic, undeploy=True)
        return document


class _Serving:
    """One stretch of the work on Vertex AI, up to the next operation that is to be awaited.

    :param method: the operator's method that resumes, with ``kwargs``, when the operation has ended.
    """

    def __init__(
        self, operator: ServeOperator, context: Context, settings: Settings, method: str, kwargs: dict[str, Any]
    ) -> None:
        self.operator, self.context, self.settings = operator, context, settings
        self.method, self.kwargs = method, kwargs
        self.place: Place = place_of(settings)
        self.storage = pipeline_storage(settings.name)

    def attach(self) -> None:
        """Goes on waiting for the operation that an earlier try, or the one before the deferral, began.

        Raises what it failed with, once: the next try begins anew.
        """
        from respan.vertex import operations

        stored: Any = self.context["task_state_store"].get(_AWAITED)
        if not stored:
            return
        operation = Operation(**stored)
        found = operations.find(self.place, operation)
        if found is not None and not found.done:
            self._defer(operation)
        self.context["task_state_store"].delete(_AWAITED)
        operations.check(found, operation)

    def registered(self, version: int) -> RegisteredModel:
        from respan.vertex import registry

        found = registry.registered(self.place, self.settings, self.storage, version)
        if found is None:
            self._await(registry.upload(self.place, self.settings, self.storage, version))
        return found

    def bring_to(self, wanted: Mapping[int, int], *, undeploy: bool) -> None:
        """Until the endpoint gives each version in ``wanted`` its share; with ``undeploy``, and holds no other."""
        from respan.vertex import endpoint

        models = {version: self.registered(version) for version in wanted}
        last: endpoint.Step | None = None
        while True:
            state = endpoint.endpoint_state(self.place, self.settings.name)
            if operation := endpoint.under_way(self.place, self.settings.name, state):
                self._await(operation)
            step = endpoint.next_step(state, wanted)
            if step is None or (isinstance(step, endpoint.Undeploy) and not undeploy):
                return
            if step == last:
                raise RemoteError(f"the endpoint doesn't change ({step}): somebody else works on it: a retry goes on")
            last = step
            self.operator.log.info("%s", step)
            try:
                operation = endpoint.apply(self.place, self.settings, step, models)
            except SettingsError:  # or else somebody has just begun to change it
                if not (operation := endpoint.under_way(self.place, self.settings.name, state)):
                    raise
            if operation:
                self._await(operation)

    def _await(self, operation: Operation) -> NoReturn:
        self.context["task_state_store"].set(_AWAITED, {"name": operation.name, "doing": operation.doing})
        self._defer(operation)

    def _defer(self, operation: Operation) -> NoReturn:
        from respan.triggers.vertex_operation import VertexOperationTrigger

        self.operator.log.info("waiting for Vertex AI to %s: %s", operation.doing, operation.name)
        trigger = VertexOperationTrigger(
            connection=self.place.connection,
            project=self.place.project,
            region=self.place.region,
            operation=operation.name,
            doing=operation.doing,
            poll_seconds=self.settings.vertex.poll_seconds,
        )
        self.operator.defer(trigger=trigger, method_name=self.method, kwargs=self.kwargs)


def _is_nothing(value: Any) -> bool:
    """Whether there is no value; a template makes text of it."""
    return value in (None, "", "None")
