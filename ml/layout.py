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

OPEN_BATCH = "batches/open.json"
SERVING = "releases/serving.json"

# Names within a batch's folder
MANIFEST = "manifest.jsonl"
BATCH = "batch.json"
VANISHED = "vanished.jsonl"
PREDICTIONS = "predictions.jsonl"
PREDICTIONS_RECORD = "predictions.json"
REPORT_JSON = "evaluation.json"
REPORT_HTML = "evaluation.html"

# Names within a span's folder
SPAN = "span.json"
SPAN_SAMPLES = "samples.jsonl.gz"
SPAN_STATISTICS = "statistics.npz"


def inbox(name: str) -> str:
    return f"{INBOX}/{name}"


def archived(batch: str, name: str) -> str:
    return f"{ARCHIVE}/{batch}/{name}"


def quarantined(batch: str, name: str) -> str:
    return f"{QUARANTINE}/{batch}/samples/{name}"


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
    """Label counts of the model's predictions on its window's eval split, what prediction drift is measured against."""
    return f"{RELEASES}/{version}-reference.json"
