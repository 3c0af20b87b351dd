"""Folders of IDX files, the format of MNIST, for tests."""

import gzip
import struct
from pathlib import Path


def write_idx(folder: Path, prefix: str, labels: list[int], shape=(28, 28), is_zipped=False) -> None:
    """IDX files whose image number i has the pixels i, i + 1, ..."""
    pixels = bytes((i + j) % 256 for i in range(len(labels)) for j in range(shape[0] * shape[1]))
    files = {
        f"{prefix}-images-idx3-ubyte": struct.pack(">4i", 2051, len(labels), *shape) + pixels,
        f"{prefix}-labels-idx1-ubyte": struct.pack(">2i", 2049, len(labels)) + bytes(labels),
    }
    for name, data in files.items():
        (folder / (name + ".gz" * is_zipped)).write_bytes(gzip.compress(data, mtime=0) if is_zipped else data)
