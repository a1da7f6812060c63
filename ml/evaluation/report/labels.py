"""Words, as the report shows them: labels and object names come from outside and may be long, unprintable or hostile.

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


def opening(words: str) -> str:
    """``words`` as a heading or a sentence begins with them."""
    return words[:1].upper() + words[1:]
