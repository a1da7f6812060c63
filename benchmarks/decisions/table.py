"""The tables of docs/decisions-and-errors.md, as the results of the studies keep them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.result import Result


@dataclass(frozen=True)
class Table:
    """``name`` marks its place in the page; the cells of ``rows`` are text."""

    name: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        """The table in Markdown, the first column aligned left."""
        lines = [self.columns, ["---", *["--:"] * (len(self.columns) - 1)], *self.rows]
        return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def promise(what: str, rate: float, limit: float, table: Table) -> Result:
    """That the error ``rate`` is not above ``limit`` (both shares), with the table of all rates."""
    return Result(
        name=what,
        ours=100 * rate,
        peer=100 * limit,
        ratio=rate / limit,
        unit="% of decisions",
        bound="<= 1",
        detail={"table": asdict(table)},
    )


def tables(results: Iterable[dict[str, Any]]) -> dict[str, Table]:
    """The tables in results as ``results.json`` has them, by name."""
    return {
        found["name"]: Table(found["name"], found["columns"], found["rows"])
        for result in results
        if (found := result["detail"].get("table")) is not None
    }


def percent(share: float) -> str:
    """A rate with no more digits than a simulation has."""
    if share == 0:
        return "0 %"
    if share == 1:
        return "100 %"
    return "< 0.1 %" if share < 0.001 else "> 99.9 %" if share > 0.999 else f"{100 * share:.1f} %"
