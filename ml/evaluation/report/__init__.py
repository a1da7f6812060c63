"""The evaluation report for people: one HTML file that needs nothing but itself, for light and dark screens."""

from ml.evaluation.report.page import render

__all__ = ["render"]
