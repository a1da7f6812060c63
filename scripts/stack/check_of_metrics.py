"""The check of the stack's metrics: each panel of the dashboard has something to show."""

from __future__ import annotations

import json
import math
import urllib.parse

from scripts.airflow_runs import LocalAirflowError
from scripts.loopback import get_json
from scripts.stack.checked_stack import SECOND, CheckedStack, say
from scripts.stack.engine import BrokenPromiseError
from scripts.stack.env_file import PROJECT

_DASHBOARD = PROJECT / "deploy/metrics/dashboard.json"


def metrics(stack: CheckedStack) -> None:
    """With the profile `metrics`, while runs go on. A panel that counts failures may be empty."""
    stack.engine.with_metrics().up(workers=3)
    for epochs in (51, 52):  # a rate needs two looks at what it counts
        run_id = f"watched-{epochs}"
        stack.ends_well(stack.train(SECOND, run_id, epochs=epochs), run_id)
    panels = json.loads(_DASHBOARD.read_text("utf-8"))["panels"]
    wanted = {panel["title"]: [target["expr"] for target in panel["targets"]] for panel in panels}

    def empty() -> list[str]:
        return [title for title, asked in wanted.items() if not all(_shows(stack, query) for query in asked)]

    try:
        stack.airflow.until(lambda: all("Failed" in title for title in empty()), 120, "")
    except LocalAirflowError:
        raise BrokenPromiseError(f"panels without data: {', '.join(empty())}") from None
    without = empty()
    say(f"{len(wanted) - len(without)} of {len(wanted)} panels have data; without: {', '.join(without) or 'none'}")


def _shows(stack: CheckedStack, query: str) -> bool:
    """Whether Prometheus answers with a number."""
    port = stack.ports["RESPAN_PROMETHEUS_PORT"]
    url = f"http://127.0.0.1:{port}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
    found = get_json(url, timeout=10)["data"]["result"]
    return any(not math.isnan(float(each["value"][1])) for each in found)
