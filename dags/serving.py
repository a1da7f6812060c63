"""
Lets a released version serve: all the traffic, or a part of it next to those that serve now.

Starts by hand, with a form. Without a version it goes back to the one that served before the present one. With a share
below 100 the version gets that part of the traffic (a canary), and those that serve now keep the rest in their
proportions; run it again with a larger share to go on, or with the version before to end it.

On the target *vertex* the version is registered in the model registry and deployed to the pipeline's endpoint, if it
isn't, before any traffic shifts; what serves no longer is undeployed. Whatever fails, those that served before go on
with all the traffic: mend it, and clear the failed task. The reason is recorded in the history of who served, which
`python -m ml release show` tells.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from airflow.sdk import Param, task
from respan.discovery import usable_pipelines
from respan.failures import told_to_airflow
from respan.operators.serve import ServeOperator
from respan.params import REASON
from respan.pipeline_dag import pipeline_dag
from respan.serving_choice import choose as choose_release

from ml.home import pipeline_storage
from ml.settings import Settings

PARAMS = {
    "version": Param(
        None,
        type=["null", "integer"],
        minimum=1,
        title="Version",
        description="The release that is to serve. Empty: the one that served before the present one.",
    ),
    "share": Param(
        100, type="integer", minimum=1, maximum=100, title="Share", description="Its part of the traffic, in percent."
    ),
    "reason": REASON,
}


def chosen(key: str) -> str:
    """The template of what ``choose`` returns under ``key``."""
    return f"{{{{ ti.xcom_pull(task_ids='choose')['{key}'] }}}}"


def serving(settings: Settings) -> None:
    name = settings.name

    @task(task_id="choose")
    def choose(*, params: Any = None) -> dict[str, Any]:
        with told_to_airflow():
            return asdict(choose_release(pipeline_storage(name), params["version"], params["share"], params["reason"]))

    serve = ServeOperator(
        task_id="serve",
        pipeline=name,
        version=chosen("version"),
        share=chosen("share"),
        reason=chosen("reason"),
        again=True,
    )
    choose() >> serve


for found in usable_pipelines("serving"):
    with pipeline_dag(found, "serving", doc=__doc__, schedule=None, params=PARAMS):
        serving(found)
