"""Consolidation of layered networks: what a rule's minibatch was, and the Fisher information of the answers to it.

    F_ij = mean_s sum_a p_a f_i^2 x_j^2        f = d log p_a / d potential, carried down the weights         (1)
    softmax    p = softmax(q), the model's     f_K = onehot(a) - p                                           (2)
    gaussian   answers q + N(0, 1)             f_K = onehot(a), p_a = 1: the mean over the noise             (3)

A decision's derivative by a weight is f_i x_j, so its square is a product too and no decision needs a gradient of its
own. (3) is taken where the objective is `squared_error`, else (2). Where a rule answers from a rest (equilibrium
propagation), the layers are those at rest, and feedback between them is left out of f: an approximation, not tested.
"""

from __future__ import annotations

import torch
from torch import Tensor

from metaplastic.core import Objective
from metaplastic.inner_loop.consolidation.base import Groups, Kept, Written
from metaplastic.inner_loop.feedback.transport import descend
from metaplastic.inner_loop.networks.layers import Layers
from metaplastic.inner_loop.objectives import SquaredError, terms_of
from metaplastic.inner_loop.rules.layered import LayeredRule, Lesson


def begin(rule: LayeredRule, net: Layers) -> Kept:
    """What the rule's consolidation keeps, at birth; nothing if it has none."""
    return {} if rule.consolidation is None else rule.consolidation.start(by_name(net.weights))


def consolidated(
    rule: LayeredRule, objective: Objective, net: Layers, changes: tuple[Tensor, ...], lesson: Lesson, kept: Kept
) -> tuple[tuple[Tensor, ...], Kept]:
    """The changes that are made of a rule's own, and what is kept after."""
    how = rule.consolidation
    if how is None:
        return changes, kept
    if how.listens(kept):
        kept = how.heard(fisher(net, lesson, gaussian(objective)), kept)
    made = {name: change * mask for (name, change), mask in zip(by_name(changes).items(), net.masks, strict=True)}
    eta = lesson.numbers["eta"]
    gradient = {name: torch.where(eta == 0, 0.0, -change / eta) for name, change in made.items()}
    rate = dict.fromkeys(made, eta)
    made, kept = how.write(Written(by_name(net.weights), made, gradient, rate), kept)
    return tuple(made.values()), kept


def by_name(groups: tuple[Tensor, ...]) -> Groups:
    """The connection groups by their number."""
    return {str(k): group for k, group in enumerate(groups)}


def gaussian(objective: Objective) -> bool:
    """Whether the objective's answers are values with noise, (3)."""
    return any(isinstance(term, SquaredError) for term in terms_of(objective))


def fisher(net: Layers, lesson: Lesson, gaussian: bool) -> Groups:
    """Equation (1), of one minibatch."""
    count = lesson.output.shape[-1]
    chance = torch.ones_like(lesson.output) if gaussian else torch.softmax(lesson.output, -1)
    carriers = [net.carriers(k) for k in range(1, len(net.weights))]
    total = [torch.zeros_like(w) for w in net.weights]
    for a in range(count):
        answer = torch.nn.functional.one_hot(torch.tensor(a, device=chance.device), count).to(chance)
        top = answer.expand_as(chance) if gaussian else answer - chance
        signals = descend(lesson.layers, carriers, top)
        for k, (signal, layer) in enumerate(zip(signals, lesson.layers, strict=True)):
            squares = chance[..., a : a + 1] * signal.square()
            total[k] = total[k] + squares.mT @ layer.pre.square() / chance.shape[2]
    return by_name(tuple(one * mask for one, mask in zip(total, net.masks, strict=True)))
