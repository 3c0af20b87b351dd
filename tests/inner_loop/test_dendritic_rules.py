"""Rules of dendrites against gradients, by hand, and learning XOR: bursts, the microcircuit, segregated dendrites."""

import math

import pytest
import torch
from small_layers import S, backprop, cosine, draws, lesson_for, relative_error, small_net, squared_error
from tiny_lessons import apply
from torch import Tensor

from metaplastic.inner_loop.feedback.burst import BurstProp
from metaplastic.inner_loop.feedback.segregated_dendrites import SegregatedDendrites
from metaplastic.inner_loop.feedback.transport import named
from metaplastic.inner_loop.networks.layers import Layers
from metaplastic.inner_loop.relaxation.dendritic_microcircuit import DendriticMicrocircuit, compartments, relax
from metaplastic.inner_loop.rules.layered import LayeredRule, Lesson, State

SYMMETRIC = BurstProp(eta=1.0, hidden_ratio=1.0, momentum=0.0, feedback="symmetric")
CIRCUIT = DendriticMicrocircuit(eta=1.0, eta_ratio=1.0, feedback="symmetric", steps=60)


def weakened(lesson: Lesson, factor: float | Tensor) -> Lesson:
    """The same with its error made smaller."""
    return lesson._replace(top_error=factor * lesson.top_error)


def sigmoid(a: float) -> float:
    return 1 / (1 + math.exp(-a))


# bursts


def test_bursts_by_hand():
    """The authors' network, one neuron a layer: 1 - e, sigmoid outputs, P0 ((t - e)(1 - e) + 1)."""
    net, rule = small_net("sigmoid", (1, 1, 1, 1)), BurstProp(eta=0.5, momentum=0.0, teacher="events")
    lesson = lesson_for(net, rule, squared_error, 1)
    state = rule.start(net, lesson.key)
    found, _ = rule.change(net, state, lesson)
    for p, life in ((0, 0), (1, 2)):
        w = [part[p, life, 0].tolist() for part in net.weights]
        y2, y1 = (float(state[named(k)].expand(2, -1, 1, 1)[p, life]) for k in (2, 1))
        x = float(lesson.x[0, life])
        e0 = sigmoid(w[0][0] + w[0][1] * x)
        e1 = sigmoid(w[1][0] + w[1][1] * e0)
        e2 = sigmoid(w[2][0] + w[2][1] * e1)
        bursts = []
        for p2 in (0.2 * ((1 - e2) * (1 - e2) + 1), 0.2):  # one output: its target is 1
            b2 = p2 * e2
            b1 = sigmoid(y2 * b2 * (1 - e1)) * e1
            b0 = sigmoid(y1 * b1 * (1 - e0)) * e0
            bursts.append((b0, b1, b2))
        more = [high - low for high, low in zip(*bursts, strict=True)]
        for k, (rate, below) in enumerate(((5.0, x), (5.0, e0), (0.5, e1))):
            wanted = [rate * more[k], rate * more[k] * below]
            assert found[k][p, life, 0].tolist() == pytest.approx(wanted, rel=1e-10)


@pytest.mark.parametrize(("activation", "least"), [("sigmoid", 0.9999), ("tanh", 0.997)])
def test_bursts_of_small_errors_are_along_the_gradient_in_every_layer(activation, least):
    net = small_net(activation)
    lesson = lesson_for(net, SYMMETRIC, squared_error)
    wanted = backprop(net, lesson, squared_error)
    found, _ = SYMMETRIC.change(net, {}, weakened(lesson, 1e-3))
    assert all(cosine((one,), (other,)) > least for one, other in zip(found, wanted, strict=True))
    weak = net._replace(weights=(net.weights[0], *(0.1 * w for w in net.weights[1:])))
    lesson = lesson_for(weak, SYMMETRIC, squared_error)
    wanted = backprop(weak, lesson, squared_error)
    found, _ = SYMMETRIC.change(weak, {}, weakened(lesson, 1e-3))
    assert all(cosine((one,), (other,)) > 0.99999 for one, other in zip(found, wanted, strict=True))


def rested(rule: BurstProp, net: Layers, lesson: Lesson) -> State:
    """R that takes away from each dendrite all that it gets at rest, for a lesson of one decision."""
    state = rule.start(net, lesson.key)
    for k in reversed(range(len(net.weights) - 1)):
        left = rule.dendrites(net, state, lesson).inputs[k]
        rate = lesson.layers[k].post + (net.activation == "tanh")
        length = 0.2 * rate.square().sum(-1, keepdim=True)
        state[f"recurrent{k}"] = left.mT @ (rate / length)
    return state


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu"])
def test_bursts_descend_the_gradient_exactly_where_recurrence_takes_the_rest_away(activation):
    net, rule = small_net(activation), SYMMETRIC.model_copy(update={"recurrent": "learned", "slope": 1.5})
    lesson = lesson_for(net, rule, squared_error, 1)
    state = rested(rule, net, lesson)
    assert max(float(u.abs().max()) for u in rule.dendrites(net, state, lesson).inputs) < 1e-14
    zero = torch.zeros((), dtype=torch.float64)
    _, slopes = torch.func.jvp(
        lambda size: rule.change(net, state, weakened(lesson, size))[0], (zero,), (torch.ones_like(zero),)
    )
    wanted = backprop(net, lesson, squared_error)
    for k, (slope, gradient) in enumerate(zip(slopes, wanted, strict=True)):
        torch.testing.assert_close(slope, 0.2 * (1.5 / 4) ** (2 - k) * gradient, rtol=1e-10, atol=1e-12)


def test_recurrence_learns_to_take_away_what_dendrites_get_at_rest():
    net = small_net("sigmoid")
    rule = SYMMETRIC.model_copy(update={"recurrent": "learned", "recurrent_eta": 3.0})
    lesson = lesson_for(net, rule, squared_error)
    state = rule.start(net, lesson.key)
    before = rule.dendrites(net, state, lesson).inputs
    for _ in range(100):
        _, state = rule.change(net, state, lesson)
    after = rule.dendrites(net, state, lesson).inputs
    assert all(float(new.norm()) < 0.2 * float(old.norm()) for new, old in zip(after, before, strict=True))


def test_learned_feedback_gets_the_changes_of_the_weights_and_bursts_stay_with_neurons_that_fire():
    net = small_net("relu")
    rule = BurstProp(feedback="learned", eta=0.3)
    lesson = lesson_for(net, rule, squared_error)
    born = state = rule.start(net, lesson.key)
    whole = [torch.zeros_like(w) for w in net.weights]
    for _ in range(3):
        changes, state = rule.change(net, state, lesson)
        whole = [a + b for a, b in zip(whole, changes, strict=True)]
    for k in (1, 2):
        torch.testing.assert_close(state[named(k)] - born[named(k)], whole[k][..., 1:], rtol=1e-10, atol=1e-12)
    signals = rule.signals(net, state, lesson)
    assert all(bool((signals[k][lesson.layers[k].post == 0] == 0).all()) for k in (0, 1))


# the microcircuit


def circuit_of(rule: DendriticMicrocircuit, net: Layers, lesson: Lesson):
    """Its connections at birth, and its shares."""
    return rule.circuit(net, rule.start(net, lesson.key)), rule.shares(lesson.numbers)


def at_rest(rule, net, state, lesson, start, steps=300.0):
    """All potentials without a teacher."""
    circuit, shares = rule.circuit(net, state), rule.shares(lesson.numbers)
    rate = lesson.numbers["rate"]
    soma = relax(net, circuit, shares, lesson.x, start, rate, torch.full_like(rate, steps), None)
    return soma, compartments(net, circuit, shares, lesson.x, soma)


@pytest.mark.parametrize("feedback", ["random", "symmetric"])
@pytest.mark.parametrize("activation", ["tanh", "relu", "sigmoid"])
def test_a_circuit_that_predicts_itself_has_silent_apical_dendrites_and_answers_as_the_network(activation, feedback):
    net, rule = small_net(activation), DendriticMicrocircuit(feedback=feedback)
    lesson = lesson_for(net, rule, squared_error)
    state = rule.start(net, lesson.key)
    anywhere = tuple(draws(60 + k, *layer.post.shape) for k, layer in enumerate(lesson.layers))
    soma, rest = at_rest(rule, net, state, lesson, anywhere)
    assert max(float(apical.abs().max()) for apical in rest.apical) < 1e-10
    for u, layer in zip(soma, lesson.layers, strict=True):
        torch.testing.assert_close(u, layer.potential, rtol=0, atol=1e-10)
    still, _ = at_rest(rule, net, state, lesson, tuple(layer.potential for layer in lesson.layers), 3.0)
    torch.testing.assert_close(still[-1], lesson.output, rtol=0, atol=1e-14)
    quiet, after = rule.change(net, state, weakened(lesson, 0.0))
    assert max(float(part.abs().max()) for part in quiet) < 1e-14
    for name, value in state.items():
        torch.testing.assert_close(after[name], value.expand_as(after[name]), rtol=0, atol=1e-14)


@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
def test_the_circuit_comes_to_the_gradient_as_its_currents_weaken(activation):
    net = small_net(activation)
    lesson = lesson_for(net, CIRCUIT, squared_error)
    wanted = backprop(net, lesson, squared_error)
    found, _ = CIRCUIT.change(net, CIRCUIT.start(net, lesson.key), lesson)
    assert all(cosine((one,), (other,)) > 0.998 for one, other in zip(found, wanted, strict=True))
    errors = [currents_as_weak_as(size, small_net(activation, (7, 6, 3))) for size in (0.1, 0.01, 0.001)]
    for first, then, last in zip(*errors, strict=True):
        assert math.log10(first / then) == pytest.approx(2, abs=0.2)
        assert math.log10(then / last) == pytest.approx(2, abs=0.2)
    assert max(currents_as_weak_as(0.01, net)) < 1e-4


def currents_as_weak_as(size: float, net: Layers) -> list[float]:
    """Relative error of each layer's change to the gradient times s (a (1 - m))^(K-k)."""
    rule = CIRCUIT.model_copy(update={"somatic": size, "apical": size, "steps": 30})
    lesson = lesson_for(net, rule, squared_error)
    shares, last = rule.shares(lesson.numbers), len(net.weights) - 1
    found, _ = rule.change(net, rule.start(net, lesson.key), lesson)
    wanted = backprop(net, lesson, squared_error)
    scales = [shares.teacher * (shares.apical * (1 - shares.mimic)) ** (last - k) for k in range(last + 1)]
    groups = zip(found, scales, wanted, strict=True)
    return [relative_error((part / scale,), (other,)) for part, scale, other in groups]


def test_a_step_of_the_circuit_by_hand():
    """One neuron a layer, one step of .5 from the answer without feedback, connections born at random."""
    net = small_net("tanh", (1, 1, 1))
    rule = DendriticMicrocircuit(
        eta=0.3, eta_ratio=2.0, steps=1, lateral="random", interneuron_ratio=0.7, apical_ratio=0.6
    )
    lesson = lesson_for(net, rule, squared_error, 1)
    state = rule.start(net, lesson.key)
    found, after = rule.change(net, state, lesson)
    p, life = 1, 2
    (w0, w1), (w2, w3) = (part[p, life, 0].tolist() for part in net.weights)
    down, cancel = (float(state[name].expand(2, -1, 1, 1)[p, life]) for name in (named(1), "cancel1"))
    i0, i1 = state["inter1"].expand(2, -1, 1, 2)[p, life, 0].tolist()
    x, a, s = float(lesson.x[0, life]), 0.8 / 1.9, 0.8 / 1.9  # and m is as s
    v1 = w0 + w1 * x
    v2 = w2 + w3 * math.tanh(v1)
    z = (1 - s) * (i0 + i1 * math.tanh(v1)) + s * v2
    u1 = v1 + 0.5 * a * (down * v2 + cancel * z)
    u2 = v2 + 0.5 * s * (1 - v2)  # the target of one output is 1
    r1 = math.tanh(u1)
    v2, w = w2 + w3 * r1, i0 + i1 * r1
    z = (1 - s) * w + s * u2
    hidden, output = math.tanh(u1) - math.tanh(v1), u2 - v2
    assert found[0][p, life, 0].tolist() == pytest.approx([0.6 * hidden, 0.6 * hidden * x], rel=1e-10)
    assert found[1][p, life, 0].tolist() == pytest.approx([0.3 * output, 0.3 * output * r1], rel=1e-10)
    assert after["inter1"][p, life, 0].tolist() == pytest.approx(
        [i0 + 0.21 * (z - w), i1 + 0.21 * (z - w) * r1], rel=1e-10
    )
    assert float(after["cancel1"][p, life]) == pytest.approx(cancel - 0.18 * (down * u2 + cancel * z) * z, rel=1e-10)


def test_a_circuit_born_at_random_comes_to_predict_itself_while_it_is_quiet():
    net = small_net("tanh")
    rule = DendriticMicrocircuit(
        lateral="random", quiet_trials=10, eta=0.4, eta_ratio=1.0, apical_ratio=2.5, steps=4, rate=1.0
    )
    lesson = lesson_for(net, rule, squared_error, 20)
    born = state = rule.start(net, lesson.key)
    start = tuple(layer.potential for layer in lesson.layers)
    before = at_rest(rule, net, born, lesson, start)[1].apical
    for _ in range(150):
        changes, state = rule.change(net, state, lesson)
        assert all(bool((change == 0).all()) for change in changes)
    after = at_rest(rule, net, state, lesson, start)[1].apical
    assert all(float(new.norm()) < 0.3 * float(old.norm()) for new, old in zip(after, before, strict=True))
    taught, _ = rule.change(net, state, lesson._replace(trial=10))
    assert all(bool((change != 0).any()) for change in taught)


def test_every_brain_relaxes_for_its_own_number_of_steps():
    net = small_net("tanh")
    lesson = lesson_for(net, CIRCUIT, squared_error)
    steps = torch.tensor([2.0, 7.0], dtype=torch.float64)[:, None, None, None]
    state = CIRCUIT.start(net, lesson.key)

    def changed(number: Tensor):
        return CIRCUIT.change(net, state, lesson._replace(numbers={**lesson.numbers, "steps": number}))[0]

    both, few, many = changed(steps), changed(steps[:1]), changed(steps[1:])
    for whole, two, seven in zip(both, few, many, strict=True):
        torch.testing.assert_close(whole[0], two[0], rtol=0, atol=0)
        torch.testing.assert_close(whole[1], seven[1], rtol=0, atol=0)
        assert not torch.equal(whole[0], seven[0])


# segregated dendrites


def test_plateaus_tell_the_sign_of_the_error_and_the_direction_of_the_gradient():
    net, rule = small_net("tanh", (7, 6, 3)), SegregatedDendrites(eta=1.0)
    lesson = lesson_for(net, rule, squared_error)
    state = {named(1): net.carriers(1)}
    found, after = rule.change(net, state, lesson)
    wanted = backprop(net, lesson, squared_error)
    assert after == state
    assert cosine(found[:1], wanted[:1]) > 0.95
    torch.testing.assert_close(found[1], wanted[1], rtol=1e-10, atol=1e-12)
    signal = rule.signals(net, state, lesson)[0]
    delta = (lesson.top_error @ net.carriers(1)) * lesson.layers[0].gate
    assert bool((signal.sign() == -delta.sign()).all())
    before, then = (torch.sigmoid(y @ net.carriers(1)) for y in (lesson.output, lesson.target))
    hand = torch.einsum("plsi,plsj->plij", (then - before) * (1 - lesson.layers[0].post ** 2), lesson.layers[0].pre) / S
    torch.testing.assert_close(found[0], hand, rtol=1e-10, atol=1e-12)


# all of them


@pytest.mark.parametrize(
    ("rule", "share"),
    [(SYMMETRIC, 0.2), (CIRCUIT.model_copy(update={"steps": 200}), 0.8 / 1.9), (SegregatedDendrites(eta=1.0), 1.0)],
    ids=["bursts", "microcircuit", "segregated"],
)
def test_without_hidden_neurons_each_is_the_gradient(rule, share):
    net = small_net("tanh", (5, 3))
    lesson = lesson_for(net, rule, squared_error)
    found, _ = rule.change(net, rule.start(net, lesson.key), lesson)
    assert relative_error(tuple(part / share for part in found), backprop(net, lesson, squared_error)) < 1e-10


XOR = [
    pytest.param("sigmoid", BurstProp(eta=1.0), id="bursts, random Y"),
    pytest.param(
        "sigmoid", BurstProp(eta=4.0, teacher="events", feedback="learned"), id="bursts, the authors' teacher"
    ),
    pytest.param("tanh", DendriticMicrocircuit(eta=0.3, rate=1.0, steps=4), id="microcircuit, random B"),
    pytest.param(
        "tanh",
        DendriticMicrocircuit(eta=0.3, feedback="symmetric", rate=1.0, steps=4),
        id="microcircuit, symmetric",
    ),
    pytest.param("tanh", SegregatedDendrites(eta=0.2), id="segregated dendrites"),
]


@pytest.mark.parametrize(("activation", "rule"), XOR)
def test_each_learns_what_no_network_without_hidden_neurons_can(activation: str, rule: LayeredRule):
    net = small_net(activation, (2, 12, 2))
    told = lesson_for(net, rule, squared_error, 4)
    x = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], dtype=torch.float64).expand(1, 3, 4, 2)
    target = torch.nn.functional.one_hot((x.sum(-1) == 1).long(), 2).double()
    state = rule.start(net, told.key)
    for _ in range(300):
        layers = net.forward(x)
        top = layers[-1].post - target
        changes, state = rule.change(
            net, state, told._replace(x=x, target=target, payoff=target, layers=layers, top_error=top)
        )
        net = apply(net, changes)
    right = net.forward(x)[-1].post.argmax(-1) == target.argmax(-1)
    assert bool(right.all()), right.double().mean((1, 2))
