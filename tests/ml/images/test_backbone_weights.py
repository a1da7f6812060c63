"""Pretrained weights where there is no connection to download them. (In a process of its own: Keras decides at its
import where it keeps what it downloads.)"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ml.home import PROJECT

_BUILD = """
from ml.errors import SettingsError
from ml.kinds.image_classification.backbones import image_features
try:
    image_features("MobileNetV2", size=96, weights="imagenet", fine_tune=False)
except SettingsError as error:
    print("refused:", error)
"""


@pytest.mark.slow
def test_weights_that_can_not_be_downloaded_are_refused_with_key_and_remedy(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _BUILD],
        cwd=PROJECT,
        env={**os.environ, "KERAS_HOME": str(tmp_path), "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    [told] = [line for line in done.stdout.splitlines() if line.startswith("refused:")]
    assert "model.weights is 'imagenet', and those of MobileNetV2 can't be downloaded (" in told
    assert told.endswith("set model.weights to the path of a weights file without the top layer, or to none")
