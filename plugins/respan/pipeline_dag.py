"""What all DAGs of a pipeline have in common."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from airflow.sdk import DAG

from ml.settings import Settings
from respan.failures import RETRIES
from respan.names import MACROS, dag_id

#: Any day in the past. Without one, ``@continuous`` gives its second run the logical date of its first, and never
#: creates it.
_START = datetime(2026, 1, 1, tzinfo=timezone.utc)


def pipeline_dag(settings: Settings, life_stage: str, *, doc: str, **kwargs: Any) -> DAG:
    """The DAG of ``settings``' pipeline for one stage of its life, at most one run of it active.

    :param doc: Markdown, shown in the UI.
    :param kwargs: further arguments of ``DAG``.
    """
    return DAG(
        dag_id=dag_id(settings.name, life_stage),
        dag_display_name=f"{settings.name} · {life_stage}",
        description=settings.description or None,
        doc_md=doc,
        tags=sorted({"respan", life_stage, settings.name, *settings.tags}),
        default_args={"owner": settings.owner, **RETRIES},
        start_date=_START,
        catchup=False,
        max_active_runs=1,
        user_defined_macros=MACROS,
        **kwargs,
    )
