"""Numbers, as the report shows them."""

from __future__ import annotations


def percent(share: float | None, digits: int = 1) -> str:
    """``share`` in percent; a dash for None."""
    return "–" if share is None else f"{100 * share:.{digits}f}%"


def counted(count: int) -> str:
    """All digits of a count below a million (``12,345``), three at least of a larger one (``12.3M``)."""
    return f"{count:,}" if count < 1_000_000 else _scaled(count, 3)


def briefly(count: int) -> str:
    """A count in four characters or little more, for where there is no room: ``9999``, ``12k``, ``1.2M``."""
    return str(count) if count < 10_000 else _scaled(count, 2)


def _scaled(count: int, digits: int) -> str:
    value, power = float(count), 0
    while round(value) >= 1000:
        value, power = value / 1000, power + 1
    decimals = max(0, digits - len(str(round(value))))
    return f"{value:.{decimals}f}{' kMGTPE'[power]}"
