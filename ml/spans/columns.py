"""An ``.npz`` of equally long columns, written row by row.

Memory does not grow with the number of rows, and the same rows give the same bytes: the archive's entries have no time.
"""

from __future__ import annotations

import io
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

_EARLIEST = (1980, 1, 1, 0, 0, 0)


def float_columns(names: Sequence[str], rows: Sequence[bytes]) -> dict[str, npt.NDArray[np.float32]]:
    """Rows of float32 values, one for each of ``names``, as named columns."""
    table = np.frombuffer(b"".join(rows), np.float32).reshape(len(rows), len(names))
    return {name: table[:, position] for position, name in enumerate(names)}


def decode_columns(data: bytes) -> dict[str, npt.NDArray[np.generic]]:
    """The columns in the bytes of such a file, by name.

    Raises ``ValueError``, ``OSError`` or ``zipfile.BadZipFile`` if ``data`` is something else.
    """
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        # By the entries' whole names: asked for "a.npy", numpy gives the column "a" if there is one.
        return {name: archive[f"{name}.npy"] for name in archive.files}


class ColumnsWriter:
    """A context manager; ``columns`` names each column and its dtype (of a fixed width), ``rows`` says how many values
    each will get. The file is complete when the context ends without an error."""

    def __init__(self, path: Path, columns: Mapping[str, npt.DTypeLike], rows: int) -> None:
        self._path = path
        self._rows = rows
        self._dtypes = {name: np.dtype(dtype) for name, dtype in columns.items()}
        # Numbered: a column's name may be no file's.
        self._parts = {name: path.with_name(f"{path.name}.{number}") for number, name in enumerate(columns)}
        self._streams: dict[str, BinaryIO] = {}

    def __enter__(self) -> ColumnsWriter:
        for name, dtype in self._dtypes.items():
            stream = self._parts[name].open("wb")
            self._streams[name] = stream
            header = {"descr": dtype.str, "fortran_order": False, "shape": (self._rows,)}
            np.lib.format.write_array_header_1_0(cast(Any, stream), header)
        return self

    def write(self, values: Mapping[str, npt.ArrayLike]) -> None:
        """Appends to every column; all values of one call have the same length."""
        for name, stream in self._streams.items():
            stream.write(np.ascontiguousarray(values[name], self._dtypes[name]).tobytes())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for stream in self._streams.values():
            stream.close()
        if kind is None:
            with zipfile.ZipFile(self._path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
                for name in self._dtypes:
                    entry = zipfile.ZipInfo(f"{name}.npy", _EARLIEST)
                    entry.compress_type = zipfile.ZIP_DEFLATED
                    with self._parts[name].open("rb") as part, archive.open(entry, "w", force_zip64=True) as target:
                        shutil.copyfileobj(part, target, 1 << 20)
        for file in self._parts.values():
            file.unlink(missing_ok=True)
