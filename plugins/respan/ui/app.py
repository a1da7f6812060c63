"""The pages as a FastAPI application, mounted in Airflow's API server at :data:`respan.links.PAGES`.

A page is shown to who is logged in to Airflow and may see the pipeline's evaluation DAG; nobody else learns even that a
pipeline exists.
"""

from __future__ import annotations

from pathlib import Path

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagDetails
from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import FastAPI, HTTPException
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader

from ml.errors import NotFoundError, RespanError
from ml.home import pipeline_names
from ml.names import safe_id
from respan.links import dag_path, report_path
from respan.names import dag_id
from respan.ui.overview import overview, report_page

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}

#: Reports hold names and pictures that came from outside, and come from Airflow's own origin: nothing in them may run,
#: load anything, or act for the user who looks at them.
_REPORT_HEADERS = {
    **_HEADERS,
    "Content-Security-Policy": "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; font-src data:; "
    "frame-ancestors 'self'",
}

_templates = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)
_templates.globals.update(report_path=report_path, dag_path=dag_path)

app = FastAPI(title="Respan", docs_url=None, redoc_url=None, openapi_url=None)


@app.get("/", response_class=HTMLResponse)
def pipelines(user: GetUserDep) -> HTMLResponse:
    """Every pipeline that the user may see: who serves since when, the open batch, the last verdicts."""
    shown = [overview(name) for name in pipeline_names() if _may_see(user, name)]
    page = _templates.get_template("overview.html.jinja").render(pipelines=shown)
    return HTMLResponse(page, headers=_HEADERS)


@app.get("/reports/{pipeline}/{batch}", response_class=HTMLResponse)
def report(pipeline: str, batch: str, user: GetUserDep) -> HTMLResponse:
    """The evaluation report of one batch."""
    missing = HTTPException(404, "there is no such report")
    # Names are looked up or compared whole, never pieced into a path before.
    if pipeline not in pipeline_names() or safe_id(batch) != batch or not _may_see(user, pipeline):
        raise missing
    try:
        return HTMLResponse(report_page(pipeline, batch), headers=_REPORT_HEADERS)
    except NotFoundError:
        raise missing from None
    except RespanError as error:
        raise HTTPException(503, str(error)) from None


def _may_see(user: GetUserDep, pipeline: str) -> bool:
    details = DagDetails(id=dag_id(pipeline, "evaluation"))
    return get_auth_manager().is_authorized_dag(method="GET", details=details, user=user)
