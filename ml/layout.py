"""Where each thing lives below ``<root>/<pipeline>/``. The only place that spells these names."""

from __future__ import annotations

INBOX = "inbox"
ARCHIVE = "archive"
QUARANTINE = "quarantine"
BATCHES = "batches"
SPANS = "spans"
SPLITS = "splits"
RUNS = "runs"
ARTIFACTS = "runs/artifacts"
MODELS = "models"
RELEASES = "releases"
MODULES = "modules"
REVISIONS = "revisions"
BRANCHES = "revisions/branches"

OPEN_BATCH = "batches/open.json"
SERVING = "releases/serving.json"
#: Nothing is there: what a run's first node imports while nothing serves.
NO_CHAMPION = "releases/none"
SHIPPED = "modules/shipped.json"

# Names within a batch's folder
MANIFEST = "manifest.jsonl"
BATCH = "batch.json"
VANISHED = "vanished.jsonl"
PREDICTIONS = "predictions.jsonl"
PREDICTIONS_RECORD = "predictions.json"
INSTANCES = "instances"
PREDICTION_FILES = "predictions"
CONTENTS = "contents.bin"
LEFT_OUT = "left_out.jsonl"
REPORT_JSON = "evaluation.json"
REPORT_HTML = "evaluation.html"

# Names within a run's folder
RUN = "run.json"
VERTEX_JOB = "vertex.json"
RUN_OUTPUTS = "outputs.json"
COMPARISON = "comparison.json"

# Names within a revision's folders
MODULES_RECORD = "modules.json"
CLAIM = "claim.json"
JUNIT = "junit.xml"
COMPILED_GRAPH = "graph.json"
COMPILED_SPEC = "vertex.json"

# Names within a span's folder
SPAN = "span.json"
SPAN_SAMPLES = "samples.jsonl.gz"
SPAN_STATISTICS = "statistics.npz"


def inbox(name: str) -> str:
    return f"{INBOX}/{name}"


def archived(batch: str, name: str) -> str:
    return f"{ARCHIVE}/{batch}/{name}"


def quarantined(batch: str, name: str = "") -> str:
    return f"{QUARANTINE}/{batch}/samples/{name}".rstrip("/")


def quarantine_reasons(batch: str) -> str:
    return f"{QUARANTINE}/{batch}/reasons.jsonl"


def batch(batch: str, name: str = "") -> str:
    return f"{BATCHES}/{batch}/{name}".rstrip("/")


def refusals(batch: str, step: str) -> str:
    return f"{BATCHES}/{batch}/refusals/{step}.jsonl"


def span(number: int, name: str = "") -> str:
    return f"{SPANS}/span-{number}/{name}".rstrip("/")


def splits(entry: int) -> str:
    """One entry of the ledger of splits (see ``ml.spans.splits``)."""
    return f"{SPLITS}/{entry}.bin"


def claim(kind: str, number: int) -> str:
    return f"claims/{kind}/{number}.json"


def run(run_id: str, name: str = "") -> str:
    return f"{RUNS}/{run_id}/{name}".rstrip("/")


def model(version: int) -> str:
    return f"{MODELS}/{version}"


def release(version: int) -> str:
    return f"{RELEASES}/{version}.json"


def release_reference(version: int) -> str:
    """What the model predicts on its window's eval split, label by label: what prediction drift is measured against."""
    return f"{RELEASES}/{version}-reference.json"


def registered_model(version: int) -> str:
    """The release in Vertex AI's model registry."""
    return f"{RELEASES}/{version}-vertex.json"


def modules(revision: str, name: str = "") -> str:
    """A file of the pipeline's folder at a revision."""
    return f"{MODULES}/{revision}/{name}".rstrip("/")


def revision(revision: str, name: str = "") -> str:
    """What CI/CD keeps about a revision: who processes it, its test results, what it compiles to."""
    return f"{REVISIONS}/{revision}/{name}".rstrip("/")


def branch(branch_id: str) -> str:
    """The newest processed revision of a branch; ``branch_id`` is ``ml.names.safe_id`` of its name."""
    return f"{BRANCHES}/{branch_id}.json"


def passed(step: str, key: str) -> str:
    return f"{REVISIONS}/passed/{step}/{key}.json"
