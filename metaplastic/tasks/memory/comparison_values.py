"""What an ideal observer of two noisy magnitudes can know: which of them was larger?

A stimulus of level s that is seen for T ms gives an estimate with standard deviation sd(T), and nothing else counts.
With p(s1, s2) the pairs that come,

    P(right) = sum over estimates x1, x2 of  max over answers  sum of p(s1, s2) P(x1 | s1) P(x2 | s2)            (1)

where the inner sum takes the pairs for which the answer is right. sd = 0 sees the level itself, an infinite sd nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import torch
from torch import Tensor

FINE = 6
"""grid points in a standard deviation"""
REACH = 7
"""standard deviations beyond the outermost level"""


Seen = tuple[tuple[float, float], ...]
"""(sd, probability) of every precision that a stimulus may be seen with"""


@lru_cache
def ideal_comparison(pairs: tuple[tuple[float, float], ...], first: Seen, second: Seen) -> float:
    """(1) for pairs of levels that come equally often; an answer says whether the first is larger."""
    levels = sorted({level for pair in pairs for level in pair})
    prior = torch.zeros(2, len(levels), len(levels), dtype=torch.float64)
    for one, other in pairs:
        prior[int(one > other), levels.index(one), levels.index(other)] += 1 / len(pairs)
    later = torch.cat([chance * seen for seen, chance in _kinds(levels, second)])
    return sum(float((chance * seen @ prior @ later.T).amax(0).sum()) for seen, chance in _kinds(levels, first))


def _kinds(levels: Sequence[float], seen: Seen) -> list[tuple[Tensor, float]]:
    """P(x | s) of each precision and its probability; all that see the level itself are one."""
    exact = [chance for sd, chance in seen if _is_exact(levels, sd)]
    rest = [(_estimates(levels, sd), chance) for sd, chance in seen if not _is_exact(levels, sd)]
    return [*rest, *([(torch.eye(len(levels), dtype=torch.float64), sum(exact))] if exact else [])]


def _is_exact(levels: Sequence[float], sd: float) -> bool:
    """No two levels are ever confused."""
    return sd * 2 * REACH < min((b - a for a, b in pairwise(levels)), default=math.inf)


def _estimates(levels: Sequence[float], sd: float) -> Tensor:
    """P(x | s) [estimates, levels] on a grid of estimates."""
    count = len(levels)
    if math.isinf(sd):
        return torch.ones(1, count, dtype=torch.float64)
    steps = math.ceil((levels[-1] - levels[0]) / sd * FINE) + 2 * REACH * FINE
    grid = levels[0] - REACH * sd + torch.arange(steps + 1, dtype=torch.float64) * (sd / FINE)
    density = torch.exp(-0.5 * ((grid[:, None] - torch.tensor(levels, dtype=torch.float64)) / sd) ** 2)
    return density / density.sum(0)
