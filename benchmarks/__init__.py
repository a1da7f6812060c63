"""Ratios between Respan and a peer that does the same work, measured side by side in one run: ``make bench``."""
