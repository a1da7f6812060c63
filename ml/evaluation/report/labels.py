"""Labels and object names, as they may be shown: they come from outside and may be long, unprintable or hostile.

Escaping for HTML is the template's (autoescape) and the chart library's part; this takes care of the rest.
"""

from __future__ import annotations


def shown(text: str, longest: int = 28) -> str:
    """``text`` with unprintable characters (controls, lone surrogates, direction overrides) replaced by � and, beyond
    ``longest`` characters, its middle left out."""
    clean = "".join(character if character.isprintable() else "�" for character in text)
    if len(clean) <= longest:
        return clean
    end = (longest - 1) // 3
    return f"{clean[: longest - 1 - end]}…{clean[-end:]}"


def percent(share: float | None, digits: int = 1) -> str:
    """``share`` in percent; a dash for None."""
    return "–" if share is None else f"{100 * share:.{digits}f}%"
