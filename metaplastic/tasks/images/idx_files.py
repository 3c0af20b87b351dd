"""IDX files, the format of MNIST and its relatives, plain or gzipped.

    big-endian int32: magic 2051 (images) or 2049 (labels), count, for images rows and columns; then one byte a number

LeCun, Cortes & Burges, The MNIST database. Nothing is downloaded: the folder is the user's.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor

_KINDS = {2049: ("labels", 1), 2051: ("images", 3)}
"""magic number -> what the file holds, its number of sizes"""


def read_pair(folder: str, prefix: str) -> tuple[UInt8[Tensor, "N pixels"], UInt8[Tensor, " N"]]:
    """Images and labels of `prefix` ("train" or "t10k") in a folder.

    Raises:
        ValueError: if a file is absent, of another kind, damaged or too short, or if images and labels do not match.
    """
    images = _read(_find(folder, f"{prefix}-images-idx3-ubyte"), 2051)
    labels = _read(_find(folder, f"{prefix}-labels-idx1-ubyte"), 2049)
    if len(images) != len(labels):
        raise ValueError(
            f"{folder} has {len(images)} {prefix} images but {len(labels)} labels, wanted a label an image"
        )
    if len(labels) < 3 or int(labels.max()) > 9:
        raise ValueError(f"{folder} has {len(labels)} {prefix} labels up to {labels.max()}, wanted at least 3, 0 to 9")
    return images.reshape(len(images), -1), labels


def _find(folder: str, name: str) -> Path:
    for path in (Path(folder) / name, Path(folder) / f"{name}.gz"):
        if path.is_file():
            return path
    raise ValueError(
        f"{folder or 'no folder'} has no {name} or {name}.gz, wanted the four IDX files of MNIST: "
        "train- and t10k-, images-idx3-ubyte and labels-idx1-ubyte"
    )


def _read(path: Path, magic: int) -> UInt8[Tensor, "..."]:
    data = _bytes(path)
    what, dimensions = _KINDS[magic]
    header = 4 * (1 + dimensions)
    found = struct.unpack(">i", data[:4])[0] if len(data) >= 4 else None
    if found != magic:
        other = f" ({_KINDS[found][0]})" if found in _KINDS else ""
        raise ValueError(f"{path} begins with the magic number {found}{other}, wanted {magic} ({what})")
    sizes = struct.unpack(f">{dimensions}i", data[4:header]) if len(data) >= header else ()
    wanted = header + math.prod(sizes)
    if not sizes or min(sizes) < 1 or len(data) != wanted:
        raise ValueError(f"{path} holds {len(data)} bytes, wanted {wanted} for sizes {list(sizes)}; fetch it again")
    return torch.frombuffer(bytearray(data[header:]), dtype=torch.uint8).reshape(sizes)


def _bytes(path: Path) -> bytes:
    try:
        return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (EOFError, gzip.BadGzipFile, zlib.error) as why:
        raise ValueError(f"{path} is not a whole gzip file ({why}), wanted a .gz as published; fetch it again") from why
    except OSError as why:
        raise ValueError(f"{path} cannot be read: {why}") from why
