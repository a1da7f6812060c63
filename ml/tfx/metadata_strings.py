"""Backslashes for ml-metadata's PostgreSQL backend, which can't write them.

The backend puts into quotes what libpq's ``PQescapeLiteral`` has quoted already. For a string with a backslash that one
begins with ``E``, and the server answers with a syntax error, in ml-metadata 1.16 and 1.21. TFX keeps settings there as
JSON, such as the Evaluator's, in which any quote inside a string has a backslash.
"""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message
from ml_metadata import MetadataStore

_BACKSLASH = "\\"
#: Stands for a backslash in the database: a character for private use, which no text has from elsewhere.
SUBSTITUTE = "\uf05c"


def substitute_backslashes(store: MetadataStore) -> None:
    """From now on the store takes any string as a value, and gives it back as it was; its database holds ``SUBSTITUTE``
    for each backslash."""
    call = store._call

    def translated(method: str, request: Message, response: Message, *options: Any) -> Any:
        _replace(request, _BACKSLASH, SUBSTITUTE)
        given = call(method, request, response, *options)
        _replace(response, SUBSTITUTE, _BACKSLASH)
        return given

    store._call = translated


def _replace(message: Message, old: str, new: str) -> None:
    for field, value in message.ListFields():
        if isinstance(value, str):
            setattr(message, field.name, value.replace(old, new))
        elif isinstance(value, Message):
            _replace(value, old, new)
        elif not isinstance(value, bytes | int | float):
            _replace_each(value, old, new)


def _replace_each(values: Any, old: str, new: str) -> None:
    """In the values of a repeated field or a map."""
    for key in list(values) if hasattr(values, "keys") else range(len(values)):
        value = values[key]
        if isinstance(value, str):
            values[key] = value.replace(old, new)
        elif isinstance(value, Message):
            _replace(value, old, new)
