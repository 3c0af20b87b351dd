"""Checks of one write of a layered rule that descends a gradient: each returns what is wrong, '' if nothing is.

Sizes are all different where shapes can tell a fault, and all equal (`square`) where they would otherwise hide it.
"""

from collections.abc import Callable

import torch
from tiny_lessons import S, gradients, key_of, lesson_of, networks

from metaplastic.core import Values
from metaplastic.inner_loop.networks.layers import Layers
from metaplastic.inner_loop.objectives import CrossEntropy
from metaplastic.inner_loop.objectives.answer import action_value_cost
from metaplastic.inner_loop.rules.layered import LayeredRule, Lesson

RATES = torch.tensor([0.1, 0.3, 0.7], dtype=torch.float64)


def one_write(rule: LayeredRule, net: Layers, lesson: Lesson | None = None) -> tuple[torch.Tensor, ...]:
    """The changes of a minibatch."""
    return rule.change(net, rule.start(net, key_of(net)), lesson or lived(rule, net))[0]


def lived(rule: LayeredRule, net: Layers) -> Lesson:
    """A minibatch whose prediction is the chosen answer's own value."""
    lesson = lesson_of(net, rule)
    return lesson._replace(prediction=lesson.output.gather(-1, lesson.action[..., None])[..., 0])


def follows_the_gradient(rule: LayeredRule, net: Layers | None = None) -> str:
    """The write is minus each brain's own rate times autograd's gradient."""
    net = net or networks(activation="sigmoid")
    rule = rule.model_copy(update={"eta": Values(RATES)})
    lesson = lived(rule, net)

    def cost(q):
        if rule.follows_error:
            return CrossEntropy.cost(q, lesson.target)
        return action_value_cost(q, lesson.action, lesson.reward)

    wanted = gradients(net, lesson.x, cost)
    for k, (change, gradient) in enumerate(zip(one_write(rule, net, lesson), wanted, strict=True)):
        error = (change + RATES.reshape(-1, 1, 1, 1) * gradient).abs().max()
        if error > 1e-10 * (1 + gradient.abs().max()):
            return f"group {k} is off the gradient by {error:.1e}"
    return ""


def follows_the_gradient_where_shapes_cannot_tell(rule: LayeredRule) -> str:
    """The same in a network whose layers are all of one size."""
    return follows_the_gradient(rule, networks((5, 5), inputs=5, actions=5, bias=False, activation="sigmoid"))


def keeps_brains_apart(rule: LayeredRule) -> str:
    """Other weights in one brain change that brain's write alone."""
    net = networks()
    before = one_write(rule, net)
    weights = [w.clone() for w in net.weights]
    for w in weights:
        w[1, 0] *= 1.5
    after = one_write(rule, net._replace(weights=tuple(weights)))
    for k, (one, other) in enumerate(zip(before, after, strict=True)):
        same = (one == other).flatten(2).all(-1)
        if same[1, 0] or not same[[0, 0, 1, 2, 2], [0, 1, 1, 0, 1]].all():
            return f"group {k}: brains that change with brain 1, 0: {(~same).nonzero().tolist()}"
    return ""


def can_be_followed_by_a_gradient(rule: LayeredRule) -> str:
    """What the write depends on, it depends on for autograd too: weights, inputs and rate."""
    net = networks((3,), lives=(1, 1), inputs=2, actions=2)
    lesson = lesson_of(net, rule, count=2)
    rate = torch.full((1, 1, 1, 1), 0.3, dtype=torch.float64)

    def change(x, eta, *weights):
        here = net._replace(weights=weights)
        layers = here.forward(x)
        top = CrossEntropy.top_error(layers[-1].post, lesson.target)
        now = lesson._replace(x=x, layers=layers, top_error=top, numbers={**lesson.numbers, "eta": eta})
        if not rule.follows_error:
            now = now._replace(prediction=now.output.gather(-1, now.action[..., None])[..., 0])
        return one_write(rule, here, now)

    given = [part.clone().requires_grad_() for part in (lesson.x, rate, *net.weights)]
    try:
        torch.autograd.gradcheck(change, given)
    except (RuntimeError, AssertionError) as why:
        return str(why).splitlines()[0]
    return ""


def is_a_mean(rule: LayeredRule) -> str:
    """A minibatch told twice is the same lesson."""
    net = networks()
    lesson = lived(rule, net)
    assert lesson.x.shape[2] == S
    names = ("x", "target", "payoff", "action", "reward", "prediction", "top_error")
    twice = {name: torch.cat([getattr(lesson, name)] * 2, 2) for name in names}
    layers = tuple(type(layer)(*(torch.cat([part] * 2, 2) for part in layer)) for layer in lesson.layers)
    both = one_write(rule, net, lesson._replace(layers=layers, **twice))
    for k, (one, other) in enumerate(zip(one_write(rule, net, lesson), both, strict=True)):
        if not torch.allclose(one, other, rtol=1e-10, atol=1e-14):
            return f"group {k} changes when the same decisions come twice"
    return ""


CHECKS: tuple[Callable[[LayeredRule], str], ...] = (
    follows_the_gradient,
    follows_the_gradient_where_shapes_cannot_tell,
    keeps_brains_apart,
    can_be_followed_by_a_gradient,
    is_a_mean,
)


def faults_of(rule: LayeredRule) -> dict[str, str]:
    """The checks that a rule fails -> what was wrong."""
    found = {check.__name__: _run(check, rule) for check in CHECKS}
    return {name: what for name, what in found.items() if what}


def _run(check: Callable[[LayeredRule], str], rule: LayeredRule) -> str:
    try:
        return check(rule)
    except RuntimeError as why:  # shapes that do not fit
        return f"does not run: {why}"
