"""Listings in pages."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from tests.gcp.storage.http import StorageError
from tests.gcp.storage.upstream import Upstream, expect

_MOST = 1000


def page(upstream: Upstream, bucket: str, query: Mapping[str, str]) -> tuple[list[dict[str, Any]], list[str], str]:
    """Objects, prefixes, and the token of the next page (empty: this is the last). Raises StorageError.

    Objects and prefixes together count for ``maxResults``; the token names the first of the next page.
    """
    most = _most(query.get("maxResults"))
    start = _name(query["pageToken"]) if query.get("pageToken") else query.get("startOffset", "")
    delimiter = query.get("delimiter", "")
    asked = {name: query[name] for name in ("prefix", "delimiter", "endOffset", "matchGlob") if query.get(name)}
    if not delimiter:
        asked["maxResults"] = str(most + 1)
    # Of objects before the start fake-gcs-server makes no prefixes, but Cloud Storage's tokens may point to one.
    if start:
        asked["startOffset"] = start
    status, document = upstream.document("GET", f"/storage/v1/b/{quote(bucket, safe='')}/o?{urlencode(asked)}")
    expect(status, document, bucket)
    items, prefixes = document.get("items") or [], document.get("prefixes") or []
    entries: list[tuple[str, dict[str, Any] | None]] = sorted(
        [(item["name"], item) for item in items] + [(prefix, None) for prefix in prefixes], key=lambda entry: entry[0]
    )
    shown, rest = entries[:most], entries[most:]
    following = base64.urlsafe_b64encode(rest[0][0].encode()).decode() if rest else ""
    return [item for _, item in shown if item is not None], [name for name, item in shown if item is None], following


def _most(text: str | None) -> int:
    try:
        most = int(text) if text else _MOST
    except ValueError as error:
        raise StorageError(400, "invalid", f"Invalid unsigned integer value: {text!r}") from error
    if most < 0:
        raise StorageError(400, "invalid", f"Invalid unsigned integer value: {text!r}")
    return min(most or _MOST, _MOST)


def _name(token: str) -> str:
    try:
        return base64.urlsafe_b64decode(token.encode()).decode()
    except ValueError as error:
        raise StorageError(400, "invalid", "Invalid page token.") from error
