"""A pytest plugin for the tests of models: a cloud with the services that serve them, and tiny SavedModels."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gcp.cloud import LoopbackCloud
from tests.gcp.services.serving import serving
from tests.gcp.serving_place import Place

#: ``text_bytes`` string[N] → ``size`` (its length times ``factor``) and ``echo``; an empty text is refused.
_PROGRAM = """
import sys
import tensorflow as tf

class Model(tf.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = tf.Variable(factor)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text_bytes")])
    def serve(self, text_bytes):
        size = tf.strings.length(text_bytes)
        with tf.control_dependencies([tf.debugging.assert_positive(size, "an empty text")]):
            return {"size": size * self.factor, "echo": tf.identity(text_bytes)}

for folder, factor in zip(sys.argv[1::2], sys.argv[2::2]):
    model = Model(int(factor))
    tf.saved_model.save(model, folder, signatures={"serving_default": model.serve})
"""


@pytest.fixture(scope="session")
def saved_models(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Folders of SavedModels by the factor that tells them apart."""
    folders = {factor: tmp_path_factory.mktemp("saved-model") / str(factor) for factor in (1, 10)}
    arguments = [word for factor, folder in folders.items() for word in (str(folder), str(factor))]
    command = [os.environ["RESPAN_TFX_PYTHON"], "-c", _PROGRAM, *arguments]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "2"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return folders


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A cloud of this test's own."""
    services = serving()
    with LoopbackCloud(tmp_path / "cloud", services=services.services) as cloud:
        yield Place(cloud, services)
