"""Omniglot, from a folder of the user's: 1,623 characters of 50 alphabets, 20 drawings each.

    data_root / images_background and images_evaluation / alphabet / character / *.png

as the published archives unpack them (Lake, Salakhutdinov & Tenenbaum 2015); nothing is downloaded. Ink is white here.
The characters get one fixed order: the last ones of it are the test split, as many before them the validation split.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor

from metaplastic import rng

PARTS = ("images_background", "images_evaluation")
DRAWINGS = 20
"""drawings of a character"""

_LOADED: dict[tuple[str, int, str], Tensor] = {}
"""(folder, side, device) -> drawings: a process loads them once. A plain dict, because torch.compile sees through it"""


@lru_cache
def characters(folder: str) -> tuple[tuple[Path, ...], ...]:
    """The drawings of each character, in the fixed order of the splits.

    Raises:
        ValueError: if there are none, or not 20 of each.
    """
    there = [Path(folder) / part for part in PARTS if (Path(folder) / part).is_dir()]
    found = sorted(path for part in there for path in part.glob("*/*") if path.is_dir())
    if not found:
        raise ValueError(
            f"{folder or 'no folder'} has no characters in {' or '.join(PARTS)}, wanted the folder that Omniglot's "
            "archives were unpacked in: alphabets, in them characters, in them 20 PNG files each"
        )
    drawings = [tuple(sorted(path.glob("*.png"))) for path in found]
    for path, files in zip(found, drawings, strict=True):
        if len(files) != DRAWINGS:
            raise ValueError(f"{path} has {len(files)} PNG files, wanted {DRAWINGS}; unpack the archive again")
    order = rng.permutation(rng.fold(rng.root(0), rng.TASK), len(drawings))
    return tuple(drawings[place] for place in order.tolist())


def split_range(total: int, held: int, split: str) -> tuple[int, int]:
    """The first character of a split and how many it has: `held` in test and as many in validation, the rest in train.

    Raises:
        ValueError: if nothing is left for train.
    """
    train = total - 2 * held
    if train < 1:
        raise ValueError(f"held is {held}, wanted at most {(total - 1) // 2}: there are {total} characters")
    return {"train": (0, train), "validation": (train, held), "test": (train + held, held)}[split]


def drawings(folder: str, side: int, device: torch.device) -> UInt8[Tensor, "N pixels"]:
    """Every drawing as side x side grey pixels, row by row; number 20 c + i is drawing i of character c."""
    place = (folder, side, str(device))
    if place not in _LOADED:
        every = [_read(path, side) for files in characters(folder) for path in files]
        _LOADED[place] = torch.stack(every).to(device)
    return _LOADED[place]


def _read(path: Path, side: int) -> UInt8[Tensor, " pixels"]:
    """One drawing, made smaller by the mean of the pixels that fall into one."""
    from matplotlib.image import imread  # heavy

    try:
        paper = torch.as_tensor(imread(path), dtype=torch.float32)
    except (OSError, SyntaxError, ValueError) as why:
        raise ValueError(f"{path} cannot be read as a PNG file: {why}; unpack the archive again") from why
    grey = paper[..., :3].mean(-1) if paper.ndim == 3 else paper
    ink = (1 - grey / grey.max().clamp(min=1))[None]
    small = torch.nn.functional.adaptive_avg_pool2d(ink, side)
    return (small * 255).round().to(torch.uint8).flatten()
