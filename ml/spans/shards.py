"""Writing and reading TFRecord files, compressed with gzip; the same bytes for the same records.

The framing is TFRecord's: length (uint64, little-endian), masked CRC-32C of the length, data, masked CRC-32C of the
data (https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details).
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import google_crc32c

from ml.parallel import map_ahead
from ml.spans.damage import DamageError

#: A block is compressed where its beginning shows that this saves a twentieth; mostly, images are compressed already.
_SAMPLE = 1 << 15
_WORTHWHILE = 0.95
#: Records compressed in one go, in bytes. A file is one gzip member of such blocks, each compressed on its own, so that
#: several are under way at once (pigz does the same).
_BLOCK = 1 << 20
_THREADS = 2
_HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"  # deflate, no name, no time, unknown system (RFC 1952)
_LAST_BLOCK = b"\x03\0"  # an empty final block (RFC 1951)
_FRAME_HEADER = 12  # length and its checksum
_FRAME_FOOTER = 4  # the data's checksum


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
            write_framed(_next(records, size), stream)
    return shards


def write_framed(framed: Iterable[bytes], stream: BinaryIO) -> None:
    """Writes one file of framed records. Compression runs in threads of its own."""
    _write_gzip(_blocks(framed), stream)


def read_framed(compressed: BinaryIO) -> Iterator[bytes]:
    """The framed records of one file, each verified, and with the last one the file's own checksum.

    Raises ``DamageError`` for what wasn't written whole or was changed since.
    """
    try:
        with gzip.open(compressed) as stream:
            while header := stream.read(_FRAME_HEADER):
                (size,) = struct.unpack("<Q", header[:8].ljust(8, b"\0"))
                if header != _length(size):
                    raise DamageError("the length of a record has a wrong CRC-32C")
                body = stream.read(size + _FRAME_FOOTER)
                if body[size:] != _masked_crc(body[:size]):
                    raise DamageError("a record has a wrong CRC-32C")
                yield header + body
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DamageError(str(error)) from error


def read_records(compressed: BinaryIO) -> Iterator[bytes]:
    """The records of one file, verified as :func:`read_framed` does."""
    return (framed[_FRAME_HEADER:-_FRAME_FOOTER] for framed in read_framed(compressed))


def _next(records: Iterator[bytes], count: int) -> Iterator[bytes]:
    for _ in range(count):
        yield next(records)


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


def _blocks(records: Iterable[bytes]) -> Iterator[bytes]:
    block: list[bytes] = []
    size = 0
    for record in records:
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
