"""Infers a first schema from examples: strict about what is there, open to new labels."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

import tensorflow as tf
import tensorflow_data_validation as tfdv
from google.protobuf import text_format
from tensorflow_data_validation.statistics import stats_impl
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx_bsl.coders import example_coder

from ml import layout
from ml.errors import DataError
from ml.local_copy import local_folder
from ml.spans.damage import damage_in
from ml.spans.shards import read_records
from ml.storage import Storage

#: Examples that the inference looks at: a schema tells which features there are, not how they are distributed.
_EXAMPLES = 2_000

#: How PNG and JPEG files begin.
_IMAGES = (b"\x89PNG\r\n", b"\xff\xd8\xff")

_HEADING = "# What every example has to be. New labels are allowed: the label vocabulary is data.\n"


def infer_schema(storage: Storage, window: Iterable[int]) -> str:
    """The schema as text. Bytes that start like a PNG or JPEG are images. No other text gets a domain: neither the list
    of the labels that there are now, nor integers where all of them happen to be digits."""
    records = _records(storage, window)
    if not records:
        raise DataError("the window has no train examples to infer a schema from")
    options = tfdv.StatsOptions(num_top_values=1, num_rank_histogram_buckets=1)
    batch = example_coder.ExamplesToRecordBatchDecoder().DecodeBatch(records)
    statistics = stats_impl.generate_statistics_in_memory(batch, options)
    schema = tfdv.infer_schema(statistics, infer_feature_shape=True, max_string_domain_size=0)
    features = tf.train.Example.FromString(records[0]).features.feature
    for feature in schema.feature:
        domain = feature.WhichOneof("domain_info")
        if feature.type == schema_pb2.BYTES and domain:
            feature.ClearField(domain)
        values = features[feature.name].bytes_list.value
        if values and values[0].startswith(_IMAGES):
            feature.image_domain.SetInParent()
    ordered = schema_pb2.Schema(feature=sorted(schema.feature, key=lambda feature: str(feature.name)))
    return _HEADING + str(text_format.MessageToString(ordered))


def _records(storage: Storage, window: Iterable[int]) -> list[bytes]:
    records: list[bytes] = []
    for number in window:
        with local_folder(storage, storage.uri(layout.span(number, "train"))) as folder:
            for file in sorted(folder.iterdir()):
                with damage_in(number, f"train/{file.name}"), file.open("rb") as stream:
                    records += islice(read_records(stream), _EXAMPLES - len(records))
    return records
