"""Children in the unit cube: bounded simulated binary crossover and polynomial mutation.

Crossover of two parents' genes a < b, u uniform, the same for both children:

    beta = 1 + 2 r / (b - a),   r = a for the lower child, 1 - b for the upper                                      (1)
    s = u (2 - beta^-(eta+1));  spread = s^(1/(eta+1)) if s <= 1, else (1 / (2 - s))^(1/(eta+1))                    (2)
    children = ((a + b) -+ spread (b - a)) / 2                                                                      (3)

Mutation of a gene y, u uniform:

    y + (2u + (1 - 2u) (1 - y)^(eta+1))^(1/(eta+1)) - 1             if u < 1/2                                      (4)
    y + 1 - (2 (1 - u) + (2u - 1) y^(eta+1))^(1/(eta+1))            else                                            (5)

Both stay inside the cube by construction. Deb & Agrawal 1995 (the crossover); Deb & Goyal 1996 (the mutation); the
bounded forms are those of Deb's NSGA-II program.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from metaplastic import rng


def crossover(
    key: Int[Tensor, ""], one: Float[Tensor, "N G"], other: Float[Tensor, "N G"], probability: float, eta: float
) -> tuple[Float[Tensor, "N G"], Float[Tensor, "N G"]]:
    """Two children of each pair; a pair is crossed with `probability`, each of its genes then with 1/2."""
    pair, gene, swap, u = (rng.uniforms(rng.fold(key, n), *one.shape).to(one) for n in range(4))
    low, high = torch.minimum(one, other), torch.maximum(one, other)
    width = high - low
    crossed = (pair[:, :1] < probability) & (gene < 0.5) & (width > 1e-14)
    safe = width.where(crossed, 1.0)
    first = (low + high - _spread(u, low / safe, eta) * width) / 2  # (3)
    second = (low + high + _spread(u, (1 - high) / safe, eta) * width) / 2
    straight = swap < 0.5
    left, right = first.where(straight, second), second.where(straight, first)
    return left.clamp(0, 1).where(crossed, one), right.clamp(0, 1).where(crossed, other)


def _spread(u: Tensor, room: Tensor, eta: float) -> Tensor:
    power = 1 / (eta + 1)
    s = u * (2 - (1 + 2 * room) ** -(eta + 1))  # (1), (2)
    return (s**power).where(s <= 1, (2 - s).clamp(min=1e-300) ** -power)


def mutate(key: Int[Tensor, ""], genomes: Float[Tensor, "N G"], probability: float, eta: float) -> Float[Tensor, "N G"]:
    """Each gene is changed with `probability`."""
    hit, u = (rng.uniforms(rng.fold(key, n), *genomes.shape).to(genomes) for n in range(2))
    power = 1 / (eta + 1)
    down = (2 * u + (1 - 2 * u) * (1 - genomes) ** (eta + 1)).clamp(min=0) ** power - 1  # (4)
    up = 1 - (2 * (1 - u) + (2 * u - 1) * genomes ** (eta + 1)).clamp(min=0) ** power  # (5)
    return (genomes + down.where(u < 0.5, up)).clamp(0, 1).where(hit < probability, genomes)
