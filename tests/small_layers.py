"""Small layered networks in float64 and lessons for them: what exact tests of layered rules are about."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from metaplastic import rng
from metaplastic.inner_loop.networks.layers import Layers
from metaplastic.inner_loop.rules.layered import LayeredRule, Lesson

P, L, S = 2, 3, 5
SIZES = (7, 6, 4, 3)


def draws(number: int, *shape: int) -> Tensor:
    """Standard normals [*shape], float64, different for each number."""
    return rng.normals(rng.root(number), *shape).double()


def small_net(activation: str = "tanh", sizes: tuple[int, ...] = SIZES, bias: bool = True, gain: float = 1.0) -> Layers:
    """Networks of P individuals and L lifetimes, all neurons there."""
    shapes = list(zip(sizes[1:], [n + bias for n in sizes[:-1]], strict=True))
    weights = tuple(gain / math.sqrt(pre) * draws(k, P, L, post, pre) for k, (post, pre) in enumerate(shapes))
    masks = tuple(torch.ones(P, 1, post, pre, dtype=torch.float64) for post, pre in shapes)
    return Layers(weights, masks, activation, bias)


def squared_error(output: Tensor, target: Tensor) -> Tensor:
    """1/2 |output - target|^2 of each decision [P, L, S]."""
    return 0.5 * ((output - target) ** 2).sum(-1)


def cross_entropy(output: Tensor, target: Tensor) -> Tensor:
    """-log softmax(output) at the target [P, L, S]."""
    return -(output.log_softmax(-1) * target).sum(-1)


def lesson_for(net: Layers, rule: LayeredRule, cost: Callable[[Tensor, Tensor], Tensor], decisions: int = S) -> Lesson:
    """A lesson with random inputs in [0, 1] and targets, the rule's plain numbers, and the error of `cost`."""
    individuals, lives, post = *net.weights[0].shape[:2], net.weights[-1].shape[-2]
    x = draws(50, 1, lives, decisions, net.weights[0].shape[-1] - net.bias).abs() / 2
    best = draws(51, 1, lives, decisions, post).argmax(-1)
    target = torch.nn.functional.one_hot(best, post).double()
    shape = (individuals, lives, decisions)
    numbers = {
        name: torch.full((individuals, 1, 1, 1), float(value), dtype=torch.float64)
        for name, value in rule
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    layers = rule.answered(net, x, numbers)
    output = layers[-1].post.detach().requires_grad_()
    (top_error,) = torch.autograd.grad(cost(output, target).sum(), output)
    reward = torch.zeros(shape, dtype=torch.float64)
    keys = rng.fold(rng.root(3), torch.arange(lives))
    action = torch.zeros(shape, dtype=torch.int64)
    return Lesson(x, layers, target, target, action, reward, reward, top_error, numbers, keys, 0)


def descent(net: Layers, cost: Callable[[tuple[Tensor, ...]], Tensor]) -> tuple[Tensor, ...]:
    """Minus the gradient of `cost`(weights), summed over brains, by autograd."""
    weights = tuple(w.detach().clone().requires_grad_() for w in net.weights)
    return tuple(-g for g in torch.autograd.grad(cost(weights).sum(), weights))


def backprop(net: Layers, lesson: Lesson, cost: Callable[[Tensor, Tensor], Tensor]) -> tuple[Tensor, ...]:
    """Minus the gradient of the mean cost of the lesson's decisions."""

    def mean_cost(weights: tuple[Tensor, ...]) -> Tensor:
        output = net._replace(weights=weights).forward(lesson.x)[-1].post
        return cost(output, lesson.target).mean(-1)

    return descent(net, mean_cost)


def relative_error(found: tuple[Tensor, ...], wanted: tuple[Tensor, ...]) -> float:
    """|found - wanted| / |wanted|, all weights of all brains in one vector."""
    a, b = (torch.cat([part.flatten() for part in parts]) for parts in (found, wanted))
    return float((a - b).norm() / b.norm())


def cosine(found: tuple[Tensor, ...], wanted: tuple[Tensor, ...]) -> float:
    """Of all weights of all brains in one vector."""
    a, b = (torch.cat([part.flatten() for part in parts]) for parts in (found, wanted))
    return float(a @ b / (a.norm() * b.norm()))
