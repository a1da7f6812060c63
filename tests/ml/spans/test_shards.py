from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest
import tensorflow as tf

from ml.spans.shards import frame, write_shards


def read(folder: Path) -> list[bytes]:
    files = [str(file) for file in sorted(folder.iterdir())]
    return [record.numpy() for record in tf.data.TFRecordDataset(files, compression_type="GZIP")]


def write(records: list[bytes], folder: Path, shard_samples: int) -> int:
    return write_shards(map(frame, records), len(records), folder, shard_samples=shard_samples)


def test_tensorflow_reads_back_what_was_written_in_order(tmp_path: Path) -> None:
    records = [b"", b"a", os.urandom(5000), b"z" * 100_000]
    write(records, tmp_path / "train", 100)
    assert read(tmp_path / "train") == records


def test_records_are_spread_evenly_over_as_few_files_as_needed(tmp_path: Path) -> None:
    assert write([b"%d" % number for number in range(25)], tmp_path, 10) == 3
    names = sorted(file.name for file in tmp_path.iterdir())
    assert names == [f"data-0000{shard}-of-00003.tfrecord.gz" for shard in range(3)]
    sizes = [sum(1 for _ in tf.data.TFRecordDataset(str(tmp_path / name), "GZIP")) for name in names]
    assert sizes == [8, 8, 9]
    assert read(tmp_path) == [b"%d" % number for number in range(25)]


def test_no_record_is_one_file_that_reads_as_empty(tmp_path: Path) -> None:
    assert write([], tmp_path, 10) == 1
    assert read(tmp_path) == []


@pytest.mark.parametrize("compressible", [True, False])
def test_a_file_of_many_blocks_is_one_gzip_member_with_the_right_checksum(tmp_path: Path, compressible: bool) -> None:
    records = [b"abc" * 100_000 if compressible else os.urandom(300_000) for _ in range(15)]
    write(records, tmp_path, 100)
    (file,) = tmp_path.iterdir()
    assert gzip.decompress(file.read_bytes()) == b"".join(map(frame, records))
    assert (file.stat().st_size < 500_000) is compressible


def test_the_same_records_give_the_same_bytes(tmp_path: Path) -> None:
    records = [os.urandom(900) for _ in range(3000)]
    for folder in ("one", "two"):
        write(records, tmp_path / folder, 1000)
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()
