"""Tasks that work on a checkout of the pipeline's repository."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any, Literal

from airflow.sdk import BaseOperator, Context

from ml.settings import Settings, load_settings
from respan.failures import told_to_airflow
from respan.git import Checkout, ensure_checkout, own_checkout
from respan.hooks.airflow_python import AirflowPythonHook
from respan.hooks.tfx import TfxHook
from respan.operators.command import MlCommandOperator
from respan.supervision import end_with_supervisor

#: How many changed paths the task's output names; their number is told in full.
_SHOWN = 20

#: What every step on code depends on, beside the pipelines themselves: paths in the repository. Those at its root are
#: pytest's.
_CODE = ("ml", "conftest.py", "pyproject.toml", "pytest.ini", ".pytest.ini", "setup.cfg", "tox.ini")


class CloneOperator(BaseOperator):
    """Checks out ``revision`` of the pipeline's remote into the workspace of this run.

    Returns ``{"revision", "previous", "changed_files", "changed"}``: how many paths differ from ``previous`` and the
    first 20 of them, both None where nobody knows (no previous revision, or a forced push dropped it). A retry finds
    the finished checkout, or makes it anew.

    :param pipeline: the pipeline whose settings name the remote.
    :param revision: full commit id (templated).
    :param previous: the last processed revision (templated); None or "" for none.
    """

    template_fields: Sequence[str] = ("revision", "previous")
    ui_color = "#eaf6ea"

    def __init__(self, *, pipeline: str, revision: Any, previous: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline
        self.revision = revision
        self.previous = previous

    def execute(self, context: Context) -> dict[str, Any]:
        end_with_supervisor()
        previous = _given(self.previous)
        with told_to_airflow():
            settings = load_settings(self.pipeline)
            checkout = ensure_checkout(settings, str(context["run_id"]), str(self.revision), previous)
        changed = checkout.changed
        count = None if changed is None else len(changed)
        self.log.info("checked out to %s", checkout.path)
        self.log.info("changed since %s: %s", previous or "the beginning", "not known" if count is None else count)
        return {
            "revision": checkout.revision,
            "previous": previous,
            "changed_files": count,
            "changed": None if changed is None else changed[:_SHOWN],
        }


class CheckoutCommandOperator(MlCommandOperator):
    """A command of the model's side on the checkout of this run, which is made (again) where it is missing.

    ``--checkout DIR --revision REV --content HASH`` are added to the arguments. The hash changes with any file of the
    revision that the step may depend on: in ``ml``, the pipelines' folder and ``content_paths``, and pytest's
    configuration.

    :param pipeline: the pipeline whose settings name the remote.
    :param revision: full commit id (templated).
    :param previous: the last processed revision (templated). Where it is given, ``--changed FILE`` is added, too: a
        JSON list of the paths that differ, null where nobody knows.
    :param content_paths: further paths in the repository; "" stands for all of it.
    :param pristine: work on a checkout of its own, made for this task and removed after it. The run's is one that code
        under test could write to.
    :param environment: which interpreter runs the command: TFX's, or the one that runs Airflow (always a process of its
        own).
    """

    template_fields: Sequence[str] = (*MlCommandOperator.template_fields, "revision", "previous")

    def __init__(
        self,
        *,
        pipeline: str,
        revision: Any,
        previous: Any = None,
        content_paths: Sequence[str] = (),
        pristine: bool = False,
        environment: Literal["tfx", "airflow"] = "tfx",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline
        self.revision = revision
        self.previous = previous
        self.content_paths = content_paths
        self.pristine = pristine
        self.environment = environment

    def execute(self, context: Context) -> Any:
        end_with_supervisor()
        with contextlib.ExitStack() as stack:
            with told_to_airflow():
                settings = load_settings(self.pipeline)
                checkout = self._checkout(settings, str(context["run_id"]), stack)
                content = checkout.content([*_CODE, settings.ci_cd.pipelines_path, *self.content_paths])
            self.arguments = [
                *self.arguments,
                *("--checkout", str(checkout.path), "--revision", checkout.revision, "--content", content),
                *(() if checkout.changed_file is None else ("--changed", str(checkout.changed_file))),
            ]
            return super().execute(context)

    def _checkout(self, settings: Settings, run_id: str, stack: contextlib.ExitStack) -> Checkout:
        revision, previous = str(self.revision), _given(self.previous)
        if self.pristine:
            own = own_checkout(settings, f"{run_id}.{self.task_id}", revision, previous)
            checkout: Checkout = stack.enter_context(own)
            return checkout
        return ensure_checkout(settings, run_id, revision, previous)

    def hook(self) -> TfxHook:
        return AirflowPythonHook() if self.environment == "airflow" else super().hook()


def _given(revision: Any) -> str | None:
    """A revision that may be missing; a template that renders to nothing gives "" or "None"."""
    return None if revision in (None, "", "None") else str(revision)
