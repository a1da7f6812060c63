"""What lists of Google's APIs have in common: filter expressions, order, pages."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, TypeVar

import grpc

from tests.gcp.service import Refusal

Item = TypeVar("Item")

#: Field of a filter or an order → its value in a resource: text, a list of texts, or a mapping for ``field.key``.
Fields = Mapping[str, Callable[[Any], Any]]

_TOKEN = re.compile(r'\s*(?:(?P<mark><=|>=|!=|[=<>:()])|"(?P<text>(?:[^"\\]|\\.)*)"|(?P<word>[^\s()=!<>:"]+))')
_ORDERED = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def filtered(items: Iterable[Item], expression: str, fields: Fields) -> list[Item]:
    """The items that ``expression`` fits: comparisons joined by AND, OR, NOT and brackets. Empty: all of them."""
    if not expression.strip():
        return list(items)
    fits = _Parser(expression, fields).whole()
    return [item for item in items if fits(item)]


def ordered(items: Iterable[Item], order_by: str, fields: Fields) -> list[Item]:
    """Sorted as ``"display_name, create_time desc"`` says; as they come where it is empty."""
    found = list(items)
    for part in reversed([part.split() for part in order_by.split(",") if part.strip()]):
        name = _snake(part[0])
        if name not in fields or part[1:] not in ([], ["asc"], ["desc"]):
            raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, f"Invalid order_by: {order_by!r}")
        found.sort(key=fields[name], reverse=part[1:] == ["desc"])
    return found


def page(items: Sequence[Item], size: int, token: str, *, largest: int = 100) -> tuple[list[Item], str]:
    """The items of one page and the token of the next one, empty at the end."""
    if size < 0:
        raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, "page_size must not be negative")
    if token and not re.fullmatch("[1-9][0-9]*", token):
        raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, f"Invalid page_token: {token!r}")
    start = int(token or 0)
    end = start + min(size or largest, largest)
    return list(items[start:end]), str(end) if end < len(items) else ""


def _snake(name: str) -> str:
    return re.sub("[A-Z]", lambda letter: "_" + letter[0].lower(), name)


class _Parser:
    def __init__(self, expression: str, fields: Fields) -> None:
        self._expression, self._fields = expression, fields
        self._tokens: list[tuple[str, str]] = []
        at = 0
        while expression[at:].strip():
            found = _TOKEN.match(expression, at)
            if not found:
                raise self._invalid()
            kind = str(found.lastgroup)
            self._tokens.append((kind, re.sub(r"\\(.)", r"\1", found[kind]) if kind == "text" else found[kind]))
            at = found.end()

    def whole(self) -> Callable[[Any], bool]:
        fits = self._any()
        if self._tokens:
            raise self._invalid()
        return fits

    def _any(self) -> Callable[[Any], bool]:
        parts = [self._all()]
        while self._take("word", "OR"):
            parts.append(self._all())
        return lambda item: any(part(item) for part in parts)

    def _all(self) -> Callable[[Any], bool]:
        parts = [self._one()]
        while self._take("word", "AND"):
            parts.append(self._one())
        return lambda item: all(part(item) for part in parts)

    def _one(self) -> Callable[[Any], bool]:
        if self._take("word", "NOT"):
            inner = self._one()
            return lambda item: not inner(item)
        if self._take("mark", "("):
            inside = self._any()
            if not self._take("mark", ")"):
                raise self._invalid()
            return inside
        return self._comparison()

    def _comparison(self) -> Callable[[Any], bool]:
        name, mark, value = (self._next() for _ in range(3))
        if name[0] != "word" or mark[0] != "mark" or mark[1] in "()" or value[0] == "mark":
            raise self._invalid()
        head, _, key = name[1].partition(".")
        field = self._fields.get(_snake(head))
        if field is None:
            raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, f"Invalid filter: unknown field {name[1]!r}")
        return lambda item: _compares(field(item), key, mark[1], value[1])

    def _take(self, kind: str, text: str) -> bool:
        if self._tokens and self._tokens[0] == (kind, text):
            del self._tokens[0]
            return True
        return False

    def _next(self) -> tuple[str, str]:
        if not self._tokens:
            raise self._invalid()
        return self._tokens.pop(0)

    def _invalid(self) -> Refusal:
        return Refusal(grpc.StatusCode.INVALID_ARGUMENT, f"Invalid filter: {self._expression!r}")


def _compares(actual: Any, key: str, mark: str, wanted: str) -> bool:
    if isinstance(actual, Mapping):
        if not key:
            return mark == ":" and wanted in actual
        if key not in actual:
            return mark == "!="
        actual = actual[key]
    if isinstance(actual, list):
        return any(_compares(each, key, mark, wanted) for each in actual)
    if mark == ":":
        return fnmatchcase(actual, wanted) or str(wanted) in str(actual)
    if mark in _ORDERED:
        return bool(_ORDERED[mark](actual, wanted))
    return bool(actual == wanted) == (mark == "=")
