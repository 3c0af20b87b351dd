"""How a rule's weight changes stand to the gradient: bias, variance, aligned and orthogonal parts, what a step brings.

Bias and variance of updates u at fixed weights, against d = -dJ/dW of a named objective J:

    m = E[u],   v = E|u - m|^2,   |m|^2 estimated without bias as |mean|^2 - v / n                            (1)
    cos = <m, d> / |m| |d|,   relative bias = sqrt(1 - cos^2)                                                (2)
    c = <m, d> / |m|^2,   relative variance = c^2 v / |d|^2             free of the rule's own scale         (3)
    the mean of n updates has cosine  cos / sqrt(1 + v / n |m|^2), so a cosine of h needs
    n = v / |m|^2 (cos^2 / h^2 - 1);   infinite if cos <= h;   c^2 v / 3 |d|^2 if cos = 1 and h = 1/2        (4)

One update, or a path of them:

    u = <u, d> d / |d|^2 + orthogonal,   alignment = <u, d> / |u| |d|                                        (5)
    J(W + u) - J(W) = -<u, d> + 1/2 u^T H u + ...                       H from a Hessian-vector product      (6)
    path efficiency = |sum u| / sum |u|                                                                      (7)

Richards et al. 2019, figures 2 and 3, which sketch (2, 3) and (5); the estimators are ours. The updates of all weights
lie in one vector of length D; B are brains, n draws. Any list of updates will do, whatever made it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


def flat(groups: Sequence[Float[Tensor, "*B _ _"]]) -> Float[Tensor, "*B D"]:
    """The weights, or changes, of all connection groups in one vector."""
    return torch.cat([group.flatten(-2) for group in groups], -1)


def groups_of(vector: Float[Tensor, "*B D"], shapes: Sequence[tuple[int, int]]) -> tuple[Tensor, ...]:
    """`flat` undone: [*B, post, pre] for each of the shapes.

    Raises:
        ValueError: if the shapes do not hold D numbers.
    """
    sizes = [post * pre for post, pre in shapes]
    if sum(sizes) != vector.shape[-1]:
        raise ValueError(f"shapes {list(shapes)} hold {sum(sizes)} numbers, and the vectors {vector.shape[-1]}")
    parts = vector.split(sizes, -1)
    return tuple(part.unflatten(-1, shape) for part, shape in zip(parts, shapes, strict=True))


class Moments(NamedTuple):
    """What (1) needs to know of n updates; those of several batches add up (`joined`)."""

    draws: int
    mean: Float[Tensor, "*B D"]
    square: Float[Tensor, "*B"]
    """mean |u|^2"""

    def part(self, of: slice, square: Float[Tensor, "*B"]) -> Moments:
        """Those of some weights, whose own mean square is given."""
        return Moments(self.draws, self.mean[..., of], square)

    @property
    def variance(self) -> Float[Tensor, "*B"]:
        """v, without bias."""
        return (self.square - self.mean.square().sum(-1)) * self.draws / (self.draws - 1)

    @property
    def mean_square(self) -> Float[Tensor, "*B"]:
        """|m|^2 without bias; may be below 0 where n is too small to tell."""
        return self.mean.square().sum(-1) - self.variance / self.draws


def moments(updates: Float[Tensor, "*B n D"]) -> Moments:
    """Of n draws; float64 inside."""
    u = updates.double()
    return Moments(u.shape[-2], u.mean(-2), u.square().sum(-1).mean(-1))


def joined(parts: Sequence[Moments]) -> Moments:
    """Of all draws of several batches."""
    total = sum(part.draws for part in parts)
    shares = [part.draws / total for part in parts]
    mean = torch.stack([share * part.mean for share, part in zip(shares, parts, strict=True)]).sum(0)
    square = torch.stack([share * part.square for share, part in zip(shares, parts, strict=True)]).sum(0)
    return Moments(total, mean, square)


class Credit(NamedTuple):
    """Where a rule stands, for each brain; NaN where the draws were too few for (1)."""

    cosine: Float[Tensor, "*B"]
    """of the expected update to d; estimates of a cosine of 1 come out on both sides of it"""
    relative_bias: Float[Tensor, "*B"]
    relative_variance: Float[Tensor, "*B"]
    samples: Float[Tensor, "*B"]
    """updates whose mean has a cosine of 1/2, (4)"""
    scale: Float[Tensor, "*B"]
    """c: by how much the expected update would have to be longer"""


def credit(found: Moments, direction: Float[Tensor, "*B D"], wanted: float = 0.5) -> Credit:
    """(2), (3), and (4) for a cosine of `wanted`.

    Raises:
        ValueError: if there are fewer than two updates.
    """
    if found.draws < 2:
        raise ValueError(f"a variance needs two updates, and there is {found.draws}")
    d = direction.double()
    length = d.square().sum(-1)
    mean_square = torch.where(found.mean_square > 0, found.mean_square, torch.nan)
    along = (found.mean * d).sum(-1)
    cosine = along / (mean_square * length).sqrt()
    bias = (1 - cosine.square()).clamp(min=0).sqrt()
    scale = along / mean_square
    spread = found.variance / mean_square
    reach = cosine.clamp(max=1).square() / wanted**2 - 1
    samples = torch.where((cosine > 0) & (reach > 0), spread / reach, torch.inf)
    samples = torch.where(cosine.isnan(), torch.nan, samples.clamp(min=1))
    return Credit(cosine, bias, scale.square() * found.variance / length, samples, scale)


class Parts(NamedTuple):
    """Each update split by (5)."""

    aligned: Float[Tensor, "*B n"]
    """length along d; below 0 uphill"""
    orthogonal: Float[Tensor, "*B n"]
    """length of the rest"""

    @property
    def alignment(self) -> Float[Tensor, "*B n"]:
        """The cosine; NaN of a change of nothing."""
        return self.aligned / (self.aligned.square() + self.orthogonal.square()).sqrt()

    @property
    def downhill(self) -> Float[Tensor, "*B"]:
        """The share of updates with <u, d> > 0."""
        return (self.aligned > 0).double().mean(-1)


def parts(updates: Float[Tensor, "*B n D"], direction: Float[Tensor, "*B D"]) -> Parts:
    """(5)."""
    unit = direction / direction.norm(dim=-1, keepdim=True)
    aligned = (updates * unit[..., None, :]).sum(-1)
    rest = updates - aligned[..., None] * unit[..., None, :]
    return Parts(aligned, rest.norm(dim=-1))


class Step(NamedTuple):
    """What one update does to a cost J, (6); below 0 is better."""

    predicted: Float[Tensor, " n"]
    """-<u, d>"""
    second_order: Float[Tensor, " n"]
    """1/2 u^T H u"""
    realised: Float[Tensor, " n"]
    """J(W + u) - J(W)"""


def step(
    cost: Callable[[Float[Tensor, "n D"]], Float[Tensor, " n"]],
    weights: Float[Tensor, "n D"],
    updates: Float[Tensor, "n D"],
) -> Step:
    """(6) of n updates, each of weights of its own; `cost` gives J of n weight vectors, each its own."""
    w, u = weights.detach().clone().requires_grad_(), updates.detach()
    before = cost(w)
    (slope,) = torch.autograd.grad(before.sum(), w, create_graph=True)
    along = (slope * u).sum(-1)
    curvature = torch.zeros_like(u)
    if along.requires_grad:  # else J is linear
        (curvature,) = torch.autograd.grad(along.sum(), w)
    with torch.no_grad():
        after = cost(w + u)
    return Step(along.detach(), 0.5 * (curvature * u).sum(-1), after - before.detach())


def path_efficiency(updates: Float[Tensor, "*B n D"]) -> Float[Tensor, "*B"]:
    """(7): 1 of a straight path, 0 of one that comes back; NaN if nothing changed."""
    return updates.sum(-2).norm(dim=-1) / updates.norm(dim=-1).sum(-1)
