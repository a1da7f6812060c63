"""Partial answers: the parameter ``fields``.

https://cloud.google.com/storage/docs/json_api#partial-response
"""

from __future__ import annotations

from typing import Any

from tests.gcp.storage.http import StorageError

#: A field → what is asked for within it; empty: all of it.
_Tree = dict[str, "_Tree"]


def select(document: dict[str, Any], fields: str) -> dict[str, Any]:
    """What of ``document`` ``fields`` asks for: ``items(name,size),nextPageToken`` or ``items/name``; ``*`` is all.

    Raises StorageError for a selector that can't be read.
    """
    tree, rest = _parse(fields.replace(" ", ""))
    if rest or not tree:
        raise StorageError(400, "invalidParameter", f"Invalid field selection {fields}")
    chosen: dict[str, Any] = _apply(document, tree)
    return chosen


def _parse(text: str) -> tuple[_Tree, str]:
    """A list of selectors, and what follows it."""
    tree: _Tree = {}
    while True:
        end = next((at for at, letter in enumerate(text) if letter in ",/()"), len(text))
        name, text = text[:end], text[end:]
        inner: _Tree = {}
        if text.startswith("/"):
            inner, text = _one(text[1:])
        elif text.startswith("("):
            inner, text = _parse(text[1:])
            if not text.startswith(")"):
                return {}, "unbalanced"
            text = text[1:]
        if not name:
            return {}, "empty"
        tree.setdefault(name, {}).update(inner)
        if not text.startswith(","):
            return tree, text
        text = text[1:]


def _one(text: str) -> tuple[_Tree, str]:
    """One selector after a slash, which ends at the next comma."""
    end = next((at for at, letter in enumerate(text) if letter in ",/()"), len(text))
    name, text = text[:end], text[end:]
    inner: _Tree = {}
    if text.startswith("/"):
        inner, text = _one(text[1:])
    elif text.startswith("("):
        inner, text = _parse(text[1:])
        text = text[1:]
    return ({name: inner} if name else {}), text


def _apply(value: Any, tree: _Tree) -> Any:
    if not tree or "*" in tree:
        return value
    if isinstance(value, list):
        return [_apply(item, tree) for item in value]
    if isinstance(value, dict):
        return {name: _apply(value[name], inner) for name, inner in tree.items() if name in value}
    return value
