"""Feedback transport: every rule against autograd, against another rule, or against the law that it obeys."""

import pytest
import torch
from tiny_lessons import HIDDEN, A, L, P, S, apply, cosine, draw, gradients, key_of, lesson_of, networks

from metaplastic.inner_loop.feedback.alignment import (
    BatchBackprop,
    DirectFeedbackAlignment,
    FeedbackAlignment,
    SignSymmetry,
)
from metaplastic.inner_loop.feedback.reciprocal import KolenPollack, WeightMirror, length
from metaplastic.inner_loop.feedback.reward_gated import Agrel, BatchQAgrel, Reinforce
from metaplastic.inner_loop.feedback.transport import named
from metaplastic.inner_loop.objectives import CrossEntropy, SquaredError
from metaplastic.inner_loop.objectives.answer import action_value_cost, chosen

EXACT = {"rtol": 1e-10, "atol": 1e-12}
NETS = [
    pytest.param((7, 8), "tanh", True, id="two tanh layers"),
    pytest.param((7,), "sigmoid", False, id="sigmoid, no bias"),
    pytest.param((6, 5, 7), "relu", True, id="three relu layers"),
    pytest.param((), "linear", True, id="read-out alone"),
]


def assert_descends(changes, wanted, eta=1.0):
    for change, gradient in zip(changes, wanted, strict=True):
        torch.testing.assert_close(change, -eta * gradient, **EXACT)


# backprop


@pytest.mark.parametrize("objective", [CrossEntropy, SquaredError])
@pytest.mark.parametrize(("hidden", "activation", "bias"), NETS)
def test_backprop_is_autograd(hidden, activation, bias, objective):
    net, rule = networks(hidden, activation=activation, bias=bias, shrink=bool(hidden)), BatchBackprop(eta=0.3)
    lesson = lesson_of(net, rule)
    lesson = lesson._replace(top_error=objective.top_error(lesson.output, lesson.target))
    changes, state = rule.change(net, {}, lesson)
    masked = [change * mask for change, mask in zip(changes, net.masks, strict=True)]
    wanted = gradients(net, lesson.x, lambda q: objective.cost(q, lesson.target))
    assert_descends(masked, [g * m for g, m in zip(wanted, net.masks, strict=True)], 0.3)
    assert state == {}


def test_momentum_is_that_of_pytorchs_descent():
    net, rule = networks(lives=(1, 1)), BatchBackprop(eta=0.3, momentum=0.8)
    other = [torch.nn.Parameter(w.clone()) for w in net.weights]
    descent, state = torch.optim.SGD(other, lr=0.3, momentum=0.8), rule.start(net, key_of(net))
    for step in range(4):
        lesson = lesson_of(net, rule, seed=step)
        cost = CrossEntropy.cost(net._replace(weights=tuple(other)).forward(lesson.x)[-1].post, lesson.target)
        descent.zero_grad()
        cost.mean().backward()
        descent.step()
        changes, state = rule.change(net, state, lesson)
        net = apply(net, changes)
    for w, wanted in zip(net.weights, other, strict=True):
        torch.testing.assert_close(w, wanted.detach(), **EXACT)


# fixed feedback


def with_transposes(net, state):
    """The state with the forward weights for feedback weights."""
    return {**state, **{named(k): net.carriers(k) for k in range(1, len(net.weights))}}


@pytest.mark.parametrize(
    "rule", [FeedbackAlignment(eta=0.2), SignSymmetry(eta=0.2, concordance=0), KolenPollack(eta=0.2)]
)
def test_alignment_with_the_forward_weights_is_backprop(rule):
    net = networks()
    lesson = lesson_of(net, rule)
    changes, _ = rule.change(net, with_transposes(net, rule.start(net, key_of(net))), lesson)
    assert_descends(changes, gradients(net, lesson.x, lambda q: CrossEntropy.cost(q, lesson.target)), 0.2)


def test_direct_alignment_with_the_forward_weights_is_backprop_below_one_hidden_layer():
    net, rule = networks((7,)), DirectFeedbackAlignment(eta=0.2)
    lesson = lesson_of(net, rule)
    changes, _ = rule.change(net, with_transposes(net, rule.start(net, key_of(net))), lesson)
    assert_descends(changes, gradients(net, lesson.x, lambda q: CrossEntropy.cost(q, lesson.target)), 0.2)


def test_direct_alignment_skips_the_layers_above():
    net, rule = networks(), DirectFeedbackAlignment(eta=1)
    lesson, state = lesson_of(net, rule), rule.start(net, key_of(net))
    assert [state[named(k)].shape for k in (1, 2)] == [(P, L, A, size) for size in HIDDEN]
    changes, after = rule.change(net, state, lesson)
    error = -lesson.top_error
    for k in (0, 1):
        layer = lesson.layers[k]
        signal = (error @ state[named(k + 1)]) * (1 - layer.post.square())
        torch.testing.assert_close(changes[k], torch.einsum("plsi,plsj->plij", signal, layer.pre) / S, **EXACT)
    assert all(after[name] is state[name] for name in state)


def test_feedback_weights_are_as_large_as_the_gene_says_and_0_where_no_neuron_is():
    net = networks((60, 80), shrink=True)
    state = FeedbackAlignment(feedback_gain=3).start(net, key_of(net))
    for k in (1, 2):
        own, mask = state[named(k)], net.masks[k][..., 1:].expand_as(state[named(k)]).bool()
        assert (own[~mask] == 0).all()
        assert own[mask].std().item() == pytest.approx(3 / net.weights[k].shape[-1] ** 0.5, rel=0.05)


@pytest.mark.parametrize(
    "rule", [FeedbackAlignment(), DirectFeedbackAlignment(), SignSymmetry(), BatchQAgrel(feedback="random")]
)
def test_feedback_weights_do_not_depend_on_the_size_of_the_batch(rule):
    large, small = networks((9, 10), lives=(1, L)), networks((7, 8), lives=(1, L))
    mask = tuple(torch.zeros_like(m) for m in large.masks)
    for padded, own in zip(mask, small.masks, strict=True):
        padded[..., : own.shape[-2], : own.shape[-1]] = own
    padded, bare = rule.start(large._replace(masks=mask), key_of(large)), rule.start(small, key_of(small))
    for name, value in bare.items():
        torch.testing.assert_close(padded[name][..., : value.shape[-2], : value.shape[-1]], value, rtol=0, atol=0)


@pytest.mark.parametrize("rule", [FeedbackAlignment, DirectFeedbackAlignment])
def test_feedback_can_be_sparse(rule):
    net = networks((60, 80))
    whole, sparse = (rule(feedback_density=share).start(net, key_of(net)) for share in (1.0, 0.25))
    for k in (1, 2):
        there = sparse[named(k)] != 0
        assert there.double().mean().item() == pytest.approx(0.25, abs=0.03)
        assert torch.equal(sparse[named(k)][there], whole[named(k)][there])


def test_sign_symmetry_keeps_the_signs_of_a_share_of_the_weights():
    net = networks((60, 80))
    for concordance, share in ((1.0, 1.0), (0.5, 0.75), (0.0, 0.5)):
        rule = SignSymmetry(concordance=concordance)
        state, lesson = rule.start(net, key_of(net)), lesson_of(net, rule)
        for k, carrier in enumerate(rule.carriers(net, state, lesson), 1):
            same = (carrier.sign() == net.carriers(k).sign()).double().mean().item()
            assert same == pytest.approx(share, abs=0.02)
            torch.testing.assert_close(carrier.abs(), state[named(k)].abs())
    uniform = SignSymmetry(magnitude="uniform", feedback_gain=2.0)
    sizes = uniform.start(net, key_of(net))[named(1)].abs()
    torch.testing.assert_close(sizes, torch.full_like(sizes, 2 / 61**0.5))


@pytest.mark.parametrize(
    ("rule", "hidden", "most"),
    [(FeedbackAlignment(eta=0.5), (20,), 45), (DirectFeedbackAlignment(eta=0.5), (20, 20), 60)],
)
def test_what_comes_down_random_weights_turns_towards_the_gradient(rule, hidden, most):
    """Lillicrap et al. 2016, fig. 2: the angle of the first hidden layer's signals to those of backprop, degrees."""
    net = networks(hidden, lives=(1, 4))
    net = net._replace(weights=tuple(0.1 * w for w in net.weights))
    state = rule.start(net, key_of(net))

    def angle():
        lesson = best_of(net, rule, 9999)
        own, true = rule.signals(net, state, lesson)[0], BatchBackprop().signals(net, {}, lesson)[0]
        return torch.rad2deg(cosine(own, true).arccos()).mean().item()

    first = angle()
    for step in range(200):
        changes, state = rule.change(net, state, best_of(net, rule, 7 * step))
        net = apply(net, changes)
    assert first == pytest.approx(90, abs=15)
    assert angle() < most


def best_of(net, rule, seed):
    """A minibatch in which the best answer is the largest of the first inputs."""
    lesson = lesson_of(net, rule, count=20, seed=seed)
    target = torch.nn.functional.one_hot(lesson.x[..., :A].argmax(-1), A).double()
    return lesson._replace(target=target, top_error=CrossEntropy.top_error(lesson.output, target))


# reciprocal feedback


@pytest.mark.parametrize("momentum", [0.0, 0.5])
@pytest.mark.parametrize("decay", [0.0, 0.02])
def test_kolen_and_pollacks_weights_meet_as_fast_as_they_decay(decay, momentum):
    net, rule, steps = networks(lives=(1, 2)), KolenPollack(eta=0.1, decay=decay, momentum=momentum), 40
    state = rule.start(net, key_of(net))
    first = [net.carriers(k) - state[named(k)] for k in (1, 2)]
    for step in range(steps):
        changes, state = rule.change(net, state, lesson_of(net, rule, seed=step))
        net = apply(net, changes)
    for k in (1, 2):
        torch.testing.assert_close(net.carriers(k) - state[named(k)], (1 - decay) ** steps * first[k - 1], **EXACT)


def test_biases_do_not_decay():
    net, rule = networks(), KolenPollack(eta=0.0, decay=0.1)
    changes, _ = rule.change(net, rule.start(net, key_of(net)), lesson_of(net, rule))
    for change, w in zip(changes, net.weights, strict=True):
        torch.testing.assert_close(change[..., 1:], -0.1 * w[..., 1:], **EXACT)
        assert (change[..., 0] == 0).all()


def test_a_weight_mirror_shows_the_weights():
    net = networks((9, 8), activation="linear", bias=False)
    rule = WeightMirror(mirror_first=100, mirror_batch=100, noise=2.0, feedback_gain=1.0)  # 10^4 noises
    state = rule.start(net, key_of(net))
    for k in (1, 2):
        assert (cosine(state[named(k)], net.carriers(k)) > 0.99).all()


def test_a_weight_mirror_sees_through_a_bent_activation_and_keeps_its_length():
    net = networks((9, 8), activation="tanh")
    rule = WeightMirror(mirror_first=200, mirror_batch=100, noise=0.5, mirror_eta=0.02, normalise="birth")
    state = rule.start(net, key_of(net))
    born = WeightMirror(mirror_first=0).start(net, key_of(net))
    for k in (1, 2):
        assert (cosine(state[named(k)], net.carriers(k), -1) > 0.9).all()  # each neuron's, since phi' differs
        torch.testing.assert_close(length(state[named(k)]), length(born[named(k)]), **EXACT)


def test_a_weight_mirror_follows_its_equation():
    """Three loops from the authors' code, after the change of the weights."""
    net = networks(activation="sigmoid", lives=(1, 1))
    rule = WeightMirror(mirror_first=0, mirror_batch=3, mirror_eta=0.7, noise=0.4)
    state, lesson = rule.start(net, key_of(net)), lesson_of(net, rule)
    changes, after = rule.change(net, state, lesson)
    from metaplastic import rng

    now = apply(net, changes)
    for k in (1, 2):
        rows = rng.fold(rng.fold(lesson.key, k)[:, None], torch.arange(3))
        noises = 0.4 * (rng.uniforms(rows, now.weights[k].shape[-1] - 1)[0].double() - 0.5)
        wanted = state[named(k)][0, 0].clone()
        for noise in noises:
            answer = now.weights[k][0, 0] @ torch.cat([torch.ones(1).double(), noise])
            answer = torch.sigmoid(answer) if k == 1 else answer
            wanted += 0.7 * torch.outer(answer, noise)
        torch.testing.assert_close(after[named(k)][0, 0], wanted, **EXACT)


# attention-gated rules


def q_lesson(net, rule, **given):
    """With the action's own value as prediction."""
    lesson = lesson_of(net, rule, **given)
    return lesson._replace(prediction=lesson.output.gather(-1, lesson.action[..., None])[..., 0])


@pytest.mark.parametrize(("hidden", "activation", "bias"), NETS)
def test_q_agrel_descends_the_squared_error_of_the_chosen_value(hidden, activation, bias):
    net, rule = networks(hidden, activation=activation, bias=bias), BatchQAgrel(eta=0.5)
    lesson = q_lesson(net, rule)
    changes, _ = rule.change(net, {}, lesson)
    assert_descends(
        changes, gradients(net, lesson.x, lambda q: action_value_cost(q, lesson.action, lesson.reward)), 0.5
    )


def test_q_agrel_follows_the_papers_equations():
    """Pozzi et al. 2018, eqs. 8 to 12, written out with loops over images."""
    net, rule = networks(activation="relu", bias=False, lives=(1, 1)), BatchQAgrel(eta=0.7, feedback="learned")
    state, lesson = rule.start(net, key_of(net)), q_lesson(net, rule)
    changes, after = rule.change(net, state, lesson)
    w, v = state[named(2)][0, 0], state[named(1)][0, 0]  # w', v': [post, pre]
    du, dv, dw = (torch.zeros_like(one[0, 0]) for one in net.weights)
    for s in range(S):
        x, y1, y2 = (layer.pre[0, 0, s] for layer in lesson.layers)
        chosen_unit, q = lesson.action[0, 0, s], lesson.output[0, 0, s]
        delta = lesson.reward[0, 0, s] - q[chosen_unit]
        fb2 = w[chosen_unit] * (y2 > 0)
        fb1 = (y1 > 0) * (fb2 @ v)
        dw[chosen_unit] += 0.7 * delta * y2 / S
        dv += 0.7 * delta * torch.outer(fb2, y1) / S
        du += 0.7 * delta * torch.outer(fb1, x) / S
    for found, wanted in zip(changes, (du, dv, dw), strict=True):
        torch.testing.assert_close(found[0, 0], wanted, **EXACT)
    torch.testing.assert_close(after[named(2)][0, 0], w + dw, **EXACT)
    torch.testing.assert_close(after[named(1)][0, 0], v + dv, **EXACT)


def test_learned_feedback_keeps_its_distance_while_it_turns_towards_the_weights_and_random_feedback_stays():
    # a net that earns by naming the largest of its inputs
    learned, fixed = BatchQAgrel(eta=0.5, feedback="learned"), BatchQAgrel(eta=0.5, feedback="random")
    for rule in (learned, fixed):
        net = networks((12,), activation="relu", inputs=5, lives=(1, 2))
        net = net._replace(weights=tuple(0.2 * w for w in net.weights))
        state = start = rule.start(net, key_of(net))
        distance, before = net.carriers(1) - state[named(1)], cosine(net.carriers(1), state[named(1)]).mean()
        for step in range(150):
            lesson = lesson_of(net, rule, count=20, seed=7 * step)
            reward = (lesson.x.argmax(-1) == lesson.action).double()
            prediction = lesson.output.gather(-1, lesson.action[..., None])[..., 0]
            changes, state = rule.change(net, state, lesson._replace(reward=reward, prediction=prediction))
            net = apply(net, changes)
        after = cosine(net.carriers(1), state[named(1)]).mean()
        if rule is learned:
            torch.testing.assert_close(net.carriers(1) - state[named(1)], distance, rtol=1e-9, atol=1e-10)
            assert after > 0.9 > before
        else:
            assert state[named(1)] is start[named(1)]


def test_agrel_descends_the_cross_entropy_in_the_mean_over_answers():
    net, rule = networks((7,), activation="sigmoid"), Agrel(eta=0.3)
    lesson = lesson_of(net, rule)
    chance = torch.softmax(lesson.output, -1)
    total = [torch.zeros_like(w) for w in net.weights]
    for s in range(S):  # one decision at a time: each answer weighed by its chance
        for answer in range(A):
            one = cut(lesson, s)
            one = one._replace(
                action=torch.full_like(one.action, answer), reward=one.target.expand_as(one.output)[..., answer]
            )
            changes, _ = rule.change(net, {}, one)
            weight = chance[:, :, s, answer, None, None] / S
            total = [t + weight * change for t, change in zip(total, changes, strict=True)]
    assert_descends(total, gradients(net, lesson.x, lambda q: CrossEntropy.cost(q, lesson.target)), 0.3)


@pytest.mark.parametrize("entropy", [0.0, 0.4])
@pytest.mark.parametrize("baseline", [0.0, 1.7])
def test_reinforce_ascends_the_expected_reward_with_any_baseline(baseline, entropy):
    net, rule = networks(), Reinforce(eta=1.0, temperature=0.8, entropy=entropy)
    lesson = lesson_of(net, rule)
    pays = draw(1, L, S, A, seed=50)
    chance = torch.softmax(lesson.output / 0.8, -1)
    total = [torch.zeros_like(w) for w in net.weights]
    for s in range(S):
        for answer in range(A):
            one = cut(lesson, s)
            reward = pays[:, :, s : s + 1, answer].expand_as(one.reward)
            one = one._replace(action=torch.full_like(one.action, answer), reward=reward)
            changes, _ = rule.change(net, {}, one._replace(prediction=torch.full_like(reward, baseline)))
            weight = chance[:, :, s, answer, None, None] / S
            total = [t + weight * change for t, change in zip(total, changes, strict=True)]

    def cost(q):
        logs = torch.log_softmax(q / 0.8, -1)
        return -(logs.exp() * (pays - entropy * logs)).sum(-1)

    assert_descends(total, gradients(net, lesson.x, cost))


def test_a_baseline_makes_reinforce_vary_less():
    net, rule = networks((7,), lives=(1, 1)), Reinforce(eta=1.0)
    one = cut(lesson_of(net, rule), 0)
    chance, pays = torch.softmax(one.output, -1)[0, 0, 0], draw(A, seed=50) + 3
    spread = []
    for baseline in (0.0, (chance * pays).sum().item()):
        size = 0.0
        for answer in range(A):
            told = one._replace(
                action=torch.full_like(one.action, answer), reward=torch.full_like(one.reward, pays[answer])
            )
            changes, _ = rule.change(net, {}, told._replace(prediction=torch.full_like(one.reward, baseline)))
            size += chance[answer] * sum(change.square().sum() for change in changes)
        spread.append(size.item())
    assert spread[1] < 0.5 * spread[0]  # the mean is the same


def cut(lesson, s):
    """Decision s alone."""
    parts = {
        name: getattr(lesson, name)[:, :, s : s + 1]
        for name in ("x", "target", "payoff", "action", "reward", "prediction", "top_error")
    }
    layers = tuple(type(layer)(*(part[:, :, s : s + 1] for part in layer)) for layer in lesson.layers)
    return lesson._replace(layers=layers, **parts)


def test_a_reward_of_nothing_pushes_the_chosen_answer_down():
    net, rule = networks((7,), activation="sigmoid"), Agrel()
    lesson = lesson_of(net, rule)
    taught = rule.teach(lesson._replace(reward=torch.zeros_like(lesson.reward)))
    torch.testing.assert_close(taught, -chosen(lesson.action, A, lesson.output))
