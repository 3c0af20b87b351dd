"""Small feedforward networks and a minibatch that they lived, for the tests of layered rules."""

from itertools import pairwise

import torch

from metaplastic import rng
from metaplastic.inner_loop.decision_plan import numbers
from metaplastic.inner_loop.networks.layers import Layers
from metaplastic.inner_loop.objectives import CrossEntropy
from metaplastic.inner_loop.rules.layered import LayeredRule, Lesson

KEY = rng.root(23)
P, L, S, I, A = 3, 2, 4, 6, 5  # noqa: E741
HIDDEN = (7, 8)


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    """Standard normals, float64."""
    return rng.normals(rng.fold(KEY, seed), *shape).double()


def networks(hidden=HIDDEN, *, activation="tanh", bias=True, shrink=False, lives=(P, L), inputs=I, actions=A) -> Layers:
    """P × L networks; `shrink`: individual p lacks the last p neurons of each hidden layer."""
    sizes = [inputs, *hidden, actions]
    weights, masks = [], []
    for k, (pre, post) in enumerate(pairwise(sizes)):
        missing = torch.arange(lives[0]) if shrink else torch.zeros(lives[0])
        rows = torch.arange(post) < (post - missing * (k < len(hidden)))[:, None]
        columns = torch.arange(pre + bias) < (pre + bias - missing * (k > 0))[:, None]
        mask = (rows[:, :, None] & columns[:, None])[:, None].double()
        masks.append(mask)
        weights.append(draw(*lives, post, pre + bias, seed=100 + k) / (pre + bias) ** 0.5 * mask)
    return Layers(tuple(weights), tuple(masks), activation, bias)


def key_of(net: Layers, seed: int = 0) -> torch.Tensor:
    """A key a lifetime."""
    return rng.fold(rng.fold(KEY, 1000 + seed), torch.arange(net.weights[0].shape[1]))


def lesson_of(net: Layers, rule: LayeredRule, *, count: int = S, seed: int = 0, **given) -> Lesson:
    """A minibatch of `count` decisions as these networks lived it; parts may be `given`."""
    lives, outputs = net.weights[0].shape[:2], net.weights[-1].shape[-2]
    x = draw(1, lives[1], count, net.weights[0].shape[-1] - net.bias, seed=seed + 1)
    own = {n: v[:, None, None, None] for n, v in numbers(rule, lives[0], x).items()}
    layers = rule.answered(net, x, own)
    output = layers[-1].post
    best = rng.below(rng.words(rng.fold(KEY, seed + 2), lives[1] * count), outputs).reshape(1, lives[1], count)
    action = rng.below(rng.words(rng.fold(KEY, seed + 3), output[..., 0].numel()), outputs).reshape(output.shape[:-1])
    target = torch.nn.functional.one_hot(best, outputs).double()
    parts = {
        "x": x,
        "layers": layers,
        "target": target,
        "payoff": target,
        "action": action,
        "reward": draw(*output.shape[:-1], seed=seed + 4),
        "prediction": draw(*output.shape[:-1], seed=seed + 5),
        "top_error": CrossEntropy.top_error(output, target),
        "numbers": own,
        "key": key_of(net, seed),
        "trial": seed,
    }
    return Lesson(**{**parts, **given})


def gradients(net: Layers, x: torch.Tensor, cost) -> list[torch.Tensor]:
    """The gradient of the minibatch's mean `cost(output)` [P, L, S] by every weight, by autograd."""
    weights = [w.clone().requires_grad_() for w in net.weights]
    output = net._replace(weights=tuple(weights)).forward(x)[-1].post
    return list(torch.autograd.grad(cost(output).mean(-1).sum(), weights))


def apply(net: Layers, changes) -> Layers:
    """The networks after a write, as a life does it."""
    after = zip(net.weights, changes, net.masks, strict=True)
    return net._replace(weights=tuple((w + change) * mask for w, change, mask in after))


def cosine(one, other, dims=(-1, -2)) -> torch.Tensor:
    """Between two matrices of each brain."""
    inner = (one * other).sum(dims)
    return inner / (one.square().sum(dims) * other.square().sum(dims)).sqrt()
