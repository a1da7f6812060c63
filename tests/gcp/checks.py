"""The checks that Google's services make of every request, from the published message types.

The types in google-cloud-aiplatform and google-cloud-build carry no annotations (google.api.field_behavior,
google.api.resource_reference), but their documentation is generated from the same source: ``Required.`` begins the text
of a required field, and the formats of a resource's name stand in it between backquotes.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import grpc
import proto  # type: ignore[import-untyped]
from google.protobuf import unknown_fields
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2

from tests.gcp.service import Method, Refusal

_FIELD = re.compile(r"^\s*(\w+) \(.*?\):\n(.*?)(?=^\s*\w+ \([^\n]*?\):\n|\Z)", re.DOTALL | re.MULTILINE)
_FORMAT = re.compile(r"`((?:projects|publishers)/[^`\s]*\{[^`\s]*)`")
_PARENT = re.compile(r"projects/([^/]+)(?:/locations/([^/]+))?(?:/|$)")


def parse(method: Method, data: bytes) -> Any:
    """The request of ``method`` in ``data``. Raises Refusal."""
    try:
        request: Any = (
            method.request.deserialize(data)  # type: ignore[attr-defined]
            if issubclass(method.request, proto.Message)
            else method.request.FromString(data)  # type: ignore[attr-defined]
        )
    except DecodeError as error:
        raise Refusal(grpc.StatusCode.INTERNAL, f"Exception deserializing request: {error}") from error
    unknown = sorted(set(_unknown_fields(_plain(request), "")))
    if unknown:
        raise _invalid({path: f'Unknown name "{path}": Cannot find field.' for path in unknown})
    return request


def check_fields(method: Method, request: Any) -> None:
    """Raise Refusal, INVALID_ARGUMENT, if a required field is missing or a name doesn't fit its format."""
    if not isinstance(request, proto.Message):
        return
    problems = dict.fromkeys(_missing(request, ""), "Required field is not set.")
    documented = {name: formats for name, (_, formats) in _documentation(type(request)).items() if formats}
    for path, formats in {**documented, **method.names}.items():
        for value in _values(request, path.split(".")):
            if value and path not in problems and not any(_pattern(text).fullmatch(value) for text in formats):
                problems[path] = f"Invalid resource name {value!r}: expected {' or '.join(formats)}."
    if problems:
        raise _invalid(problems)


def resource(request: Any) -> str:
    """What a request is about: its parent, its name, or the name in the message that it carries."""
    for path in ("parent", "name", "endpoint", "model", "custom_job", "pipeline_job", "project_id"):
        value = getattr(request, path, None)
        if value and not isinstance(value, str):
            value = getattr(value, "name", "")
        if value:
            return str(value)
    return ""


def place(name: str) -> tuple[str, str]:
    """Project and location in a resource's name; empty where it has none."""
    match = _PARENT.match(name)
    return (match[1], match[2] or "") if match else ("", "")


def _plain(message: Any) -> Any:
    return type(message).pb(message) if isinstance(message, proto.Message) else message


def _invalid(problems: Mapping[str, str]) -> Refusal:
    """The list of errors as Vertex AI words it, and the same as google.rpc.BadRequest."""
    found = "\t\n".join(
        f"{number}.Field: {path}; Message: {text}" for number, (path, text) in enumerate(problems.items(), 1)
    )
    violations = [
        error_details_pb2.BadRequest.FieldViolation(field=path, description=text) for path, text in problems.items()
    ]
    return Refusal(
        grpc.StatusCode.INVALID_ARGUMENT,
        f"List of found errors:\t{found}\t",
        [error_details_pb2.BadRequest(field_violations=violations)],
    )


def _unknown_fields(message: Any, path: str) -> Iterator[str]:
    found: Any = unknown_fields.UnknownFieldSet(message)
    for unknown in found:
        yield f"{path}#{unknown.field_number}"
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            inner = list(value.values()) if field.message_type.fields_by_name["value"].message_type else []
        else:
            inner = list(value) if _repeated(field) else [value]
        for item in inner:
            yield from _unknown_fields(item, f"{path}{field.name}.")


def _repeated(field: Any) -> bool:
    return bool(getattr(field, "is_repeated", None) or getattr(field, "label", 1) == 3)


def _missing(message: proto.Message, path: str) -> Iterator[str]:
    """Required fields that are unset in ``message`` and in the messages that are set in it.

    A field of a oneof is required only in the sense that one of them is, which a double checks itself.
    """
    plain = _plain(message)
    documented = _documentation(type(message))
    for field in plain.DESCRIPTOR.fields:
        name = field.name if field.name in documented else f"{field.name}_"
        required, _ = documented.get(name, documented.get(field.name, (False, ())))
        if required and field.containing_oneof is None and not _is_set(plain, field):
            yield f"{path}{field.name}"
    for field, _value in plain.ListFields():
        if field.message_type is None:
            continue
        name = field.name if field.name in type(message).meta.fields else f"{field.name}_"
        for item in _items(getattr(message, name, None)):
            if isinstance(item, proto.Message):
                yield from _missing(item, f"{path}{field.name}.")


def _is_set(plain: Any, field: Any) -> bool:
    """An empty string, list or message is unset; a false or a zero can't be told from unset, and counts as set."""
    if _repeated(field):
        return len(getattr(plain, field.name)) > 0
    if field.message_type is not None:
        return bool(plain.HasField(field.name))
    value = getattr(plain, field.name)
    return value not in ("", b"")


def _items(value: Any) -> list[Any]:
    if isinstance(value, proto.Message):
        return [value]
    if isinstance(value, Mapping) or hasattr(value, "values"):
        return list(value.values())
    return list(value) if isinstance(value, Sequence) and not isinstance(value, (str, bytes)) else []


def _values(message: Any, path: list[str]) -> Iterator[str]:
    """The strings at ``path``, through lists and maps."""
    value = getattr(message, path[0], None)
    if len(path) > 1:
        for item in _items(value):
            yield from _values(item, path[1:])
    elif isinstance(value, str):
        yield value
    else:
        yield from (item for item in _items(value) if isinstance(item, str))


def _documentation(message: type) -> dict[str, tuple[bool, tuple[str, ...]]]:
    """By field: whether its documentation says that it is required, and the formats of names there."""
    return _fields(message.__doc__ or "")


@functools.cache
def _fields(text: str) -> dict[str, tuple[bool, tuple[str, ...]]]:
    found = {}
    for name, body in _FIELD.findall(text):
        formats = tuple(dict.fromkeys(re.sub(r"\s+", "", found) for found in _FORMAT.findall(body)))
        found[name] = (body.lstrip().startswith("Required."), tuple(one for one in formats if _is_template(one)))
    return found


def _is_template(text: str) -> bool:
    return (
        re.fullmatch(r"(?:[\w.~%-]+|\{\w+\}(?:@\{?\w+\}?)?)(?:/(?:[\w.~%-]+|\{\w+\}(?:@\{?\w+\}?)?))*", text)
        is not None
    )


@functools.cache
def _pattern(text: str) -> re.Pattern[str]:
    """``{project}`` stands for one part of a name; a version or alias may follow the last one after ``@``."""
    return re.compile("/".join("[^/]+" if "{" in part else re.escape(part) for part in text.split("/")))
