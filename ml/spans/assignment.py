"""Which split each sample of a span belongs to. Pure: decides by content alone, never by name, order or chance."""

from __future__ import annotations

from enum import Enum


class Split(str, Enum):
    TRAIN = "train"
    EVAL = "eval"


def eval_quota(samples: int, share: float) -> int:
    """How many of a stratum's distinct ``samples`` in one span are for evaluation.

    ``round(share × samples)``, but at least 1, and at least one left to train on, where there are two or more. A single
    sample is trained on.
    """
    if samples < 2:
        return 0
    return min(max(round(share * samples), 1), samples - 1)


def new_in_eval(*, new: int, known_in_eval: int, known_in_train: int, share: float) -> int:
    """How many of a stratum's ``new`` samples go to eval, given those that earlier spans have placed already.

    The stratum meets its quota exactly wherever the placed ones leave room for it. Those with the smallest content
    hashes are taken.
    """
    quota = eval_quota(new + known_in_eval + known_in_train, share)
    return min(max(quota - known_in_eval, 0), new)
