"""The rules of an endpoint's traffic split, and who answers next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tests.gcp.services.vertex_resources import failed_precondition, invalid


def check_split(split: Mapping[str, int], ids: Iterable[str]) -> None:
    """Raises Refusal unless it is empty, or adds up to 100 and names none but ``ids``."""
    unknown = sorted(set(split) - set(ids))
    if unknown:
        raise invalid(f"The following DeployedModel ID(s) [{', '.join(unknown)}] do not exist.")
    if any(share < 0 for share in split.values()):
        raise invalid("The traffic percentages must not be negative.")
    if split and sum(split.values()) != 100:
        raise invalid(f"The sum of all traffic percentages must be 100, but is {sum(split.values())}.")


def without(removed: str, split: dict[str, int], asked: dict[str, int], rest: list[str]) -> dict[str, int]:
    """The split once ``removed`` is undeployed. Raises Refusal where it would still have traffic."""
    if not rest:
        return {}
    if asked:
        check_split(asked, rest)
        return asked
    if split.get(removed):
        raise failed_precondition(
            f"DeployedModel {removed} has {split[removed]}% of the traffic: give it to others before it is undeployed."
        )
    return {key: share for key, share in split.items() if key != removed}


class Shares:
    """Picks the model that answers: after any number of calls, each is within one call of its share."""

    def __init__(self) -> None:
        self._owed: dict[str, int] = {}

    def pick(self, split: Mapping[str, int]) -> str:
        """The id of the next one; ``split`` must not be empty. Forgets those that are no part of it."""
        self._owed = {key: self._owed.get(key, 0) + share for key, share in split.items()}
        chosen = max(self._owed, key=lambda key: self._owed[key])
        self._owed[chosen] -= sum(split.values())
        return chosen
