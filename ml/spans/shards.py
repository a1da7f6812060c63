"""Writing TFRecord files, compressed with gzip, the same bytes for the same records.

The framing is TFRecord's: length (uint64, little-endian), masked CRC-32C of the length, data, masked CRC-32C of the
data (https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import google_crc32c

from ml.parallel import map_ahead

#: A block is compressed where its beginning shows that this saves a twentieth; mostly, images are compressed already.
_SAMPLE = 1 << 15
_WORTHWHILE = 0.95
#: Records compressed in one go, in bytes. A file is one gzip member of such blocks, each compressed on its own, so that
#: several are under way at once (pigz does the same).
_BLOCK = 1 << 20
_THREADS = 2
_HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"  # deflate, no name, no time, unknown system (RFC 1952)
_LAST_BLOCK = b"\x03\0"  # an empty final block (RFC 1951)


def frame(record: bytes) -> bytes:
    """``record`` as it stands in a TFRecord file."""
    return b"".join((_length(len(record)), record, _masked_crc(record)))


def write_shards(framed: Iterable[bytes], count: int, folder: Path, *, shard_samples: int) -> int:
    """Writes ``count`` framed records below ``folder`` as ``data-00000-of-00003.tfrecord.gz`` … and returns the number
    of files: at least one, since a reader of the split expects a file, at most ``shard_samples`` records in each.

    Records keep their order, evenly spread. Compression runs in threads of its own.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shards = max(1, -(-count // shard_samples))
    records = iter(framed)
    for shard in range(shards):
        size = count * (shard + 1) // shards - count * shard // shards
        with (folder / f"data-{shard:05d}-of-{shards:05d}.tfrecord.gz").open("wb") as stream:
            _write_gzip(_blocks(records, size), stream)
    return shards


def _write_gzip(blocks: Iterator[bytes], stream: BinaryIO) -> None:
    stream.write(_HEADER)
    checksum = size = 0
    compressed = map_ahead(lambda block: (block, _compress(block)), blocks, threads=_THREADS, ahead=2 * _THREADS)
    for block, part in compressed:
        checksum = zlib.crc32(block, checksum)
        size += len(block)
        stream.write(part)
    stream.write(_LAST_BLOCK + struct.pack("<II", checksum, size & 0xFFFFFFFF))


def _compress(block: bytes) -> bytes:
    """Complete deflate blocks, not the last ones of their file."""
    sample = block[:_SAMPLE]
    level = 1 if len(zlib.compress(sample, 1)) < _WORTHWHILE * len(sample) else 0
    compressor = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    return compressor.compress(block) + compressor.flush(zlib.Z_SYNC_FLUSH)


def _blocks(records: Iterator[bytes], count: int) -> Iterator[bytes]:
    block: list[bytes] = []
    size = 0
    for _ in range(count):
        record = next(records)
        block.append(record)
        size += len(record)
        if size >= _BLOCK:
            yield b"".join(block)
            block, size = [], 0
    if block:
        yield b"".join(block)


@lru_cache(maxsize=4096)
def _length(size: int) -> bytes:
    length = struct.pack("<Q", size)
    return length + _masked_crc(length)


def _masked_crc(data: bytes) -> bytes:
    crc = google_crc32c.value(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
