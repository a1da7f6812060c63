"""The samples that CI/CD runs this pipeline on, end to end: real measurements of Italian wines.

Source: "Wine" (S. Aeberhard, M. Forina, 1992), UCI Machine Learning Repository, https://doi.org/10.24432/C5PC7J,
CC BY 4.0. It comes with scikit-learn, so nothing is downloaded.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sklearn.datasets import load_wine


def write_samples(folder: Path) -> None:
    """Writes the 178 samples to ``folder`` as they would lie in the inbox: ``<label>/<name>.json``."""
    wines: Any = load_wine()
    columns = [name.replace("_", " ") for name in wines.feature_names]
    for number, (row, target) in enumerate(zip(wines.data, wines.target, strict=True)):
        file = folder / str(wines.target_names[target]) / f"wine-{number:03}.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(dict(zip(columns, row.tolist(), strict=True))) + "\n")
