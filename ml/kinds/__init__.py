"""What differs between kinds of model, one package each: how a sample lies in the inbox, how it becomes an example, how
a prediction is scored and reported. Everything else in ``ml`` is the same for every kind.

A kind's package has ``samples`` (light, with the functions ``sample_of`` and ``class_folder``) and heavy modules beside
it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Labelled:
    """The name of a sample that fits its kind's layout, and the label that the name gives it."""

    label: str


@dataclass(frozen=True, slots=True)
class Unusable:
    """The name of an object that can't be a sample, and why, for people."""

    reason: str


SampleOf = Callable[[str], "Labelled | Unusable"]


def sample_reader(kind: str) -> SampleOf:
    """The function of ``kind`` that tells from an object's name (relative to the inbox) what sample it is."""
    read: SampleOf = importlib.import_module(f"ml.kinds.{kind}.samples").sample_of
    return read


def class_folder(kind: str, label: str) -> str:
    """The folder (relative to the inbox) in which samples of ``kind`` with this label lie."""
    folder: str = importlib.import_module(f"ml.kinds.{kind}.samples").class_folder(label)
    return folder
