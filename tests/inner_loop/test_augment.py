"""AuGMEnT: tags are gradients, a step by hand, the kernel is the life, a small population learns."""

import pytest
import torch

from metaplastic import rng
from metaplastic.core import Rule, Task, Values
from metaplastic.inner_loop.augment_life import fresh, live_augment
from metaplastic.inner_loop.decision_plan import numbers
from metaplastic.inner_loop.feedback.augment import Augment, increments, tagged, written
from metaplastic.inner_loop.feedback.augment_kernel import Goal, learn, table_of
from metaplastic.inner_loop.networks.working_memory import Weights, WorkingMemory, respond, silence
from metaplastic.inner_loop.objectives import Reward
from metaplastic.inner_loop.rls.force import Force
from metaplastic.inner_loop.rules.fixed import Fixed
from metaplastic.tasks.memory.saccade import SaccadeAntisaccade
from metaplastic.tasks.navigation.grid_nav import GridNav

P, L, T, INPUTS, A = 3, 2, 9, 4, 3
NETWORK = WorkingMemory(regular=3, memory=5, weight_range=0.7)
TASK = SaccadeAntisaccade(trials=60, test_trials=5)


def weights_of(network: WorkingMemory = NETWORK, lifetimes: int = L, individuals: int = P) -> Weights:
    keys = rng.lifetime_keys(0, torch.arange(lifetimes), rng.INIT)
    return network.birth(TASK.spec, individuals, keys, torch.zeros(()).double())


@pytest.mark.parametrize("keep", [1.0, 0.7])
def test_at_every_step_the_tags_gain_the_gradient_of_the_chosen_value(keep):
    weights = Weights(*(w.clone().requires_grad_() for w in weights_of()))
    theta, keeps = (torch.full((1, 1, 1), value, dtype=torch.float64) for value in (2.5, keep))
    x = (rng.uniforms(rng.root(1), T, P, L, INPUTS) > 0.5).double()
    actions = rng.below(rng.words(rng.root(2), T * P * L), A).reshape(T, P, L)
    before, potential = silence(weights)
    summed = torch.zeros(P, L, 2 * INPUTS).double()
    for t in range(T):
        now = respond(weights, x[t], before, potential, theta, keeps)
        before, potential, summed = x[t], now.potential, keep * summed + now.change
        value = now.q.gather(-1, actions[t][..., None]).sum()  # networks do not touch each other
        wanted = torch.autograd.grad(value, tuple(weights), retain_graph=True)
        for gained, gradient in zip(increments(weights, now, summed, actions[t]), wanted, strict=True):
            assert (gained - gradient).abs().max() < 1e-10


def test_a_network_of_one_unit_each_by_hand():
    one = lambda *values: torch.tensor(values).double().reshape(1, 1, -1, len(values[0]))  # noqa: E731
    weights = Weights(one([0.5, 1.0]), one([2.0, -1.0]), one([0.1, 0.3], [0.0, -0.2]), one([0.4], [0.6]))
    theta, keep = torch.tensor(1.0).double().reshape(1, 1, 1), torch.ones(1, 1, 1).double()
    x = torch.ones(1, 1, 1).double()
    now = respond(weights, x, torch.zeros(1, 1, 1).double(), torch.zeros(1, 1, 1).double(), theta, keep)
    r, m = torch.sigmoid(torch.tensor(0.5)).item(), torch.sigmoid(torch.tensor(1.0)).item()  # .5 + 1 - 1, 2 - 1
    assert now.q[0, 0].tolist() == pytest.approx([0.1 + 0.3 * r + 0.4 * m, -0.2 * r + 0.6 * m], rel=1e-6)
    gained = increments(weights, now, now.change, torch.tensor([[1]]))
    assert gained.regular_out[0, 0].tolist() == [[0, 0], pytest.approx([1, r], rel=1e-6)]
    assert gained.memory_out[0, 0].tolist() == [[0], pytest.approx([m], rel=1e-6)]
    assert gained.regular[0, 0, 0].tolist() == pytest.approx([-0.2 * r * (1 - r)] * 2, rel=1e-5)
    assert gained.memory[0, 0, 0].tolist() == pytest.approx([0.6 * m * (1 - m), 0], rel=1e-5)
    tags = tagged(gained, gained, torch.full((1, 1, 1, 1), 0.18).double())
    assert torch.allclose(tags.memory_out, 1.18 * gained.memory_out)
    after = written(weights, tags, torch.full((1, 1), 0.5).double())
    assert torch.allclose(after.memory_out - weights.memory_out, 0.59 * gained.memory_out)


def test_memory_holds_what_was_seen_and_a_new_trial_forgets_it():
    weights = weights_of()
    theta, keep = torch.full((1, 1, 1), 2.5).double(), torch.ones(1, 1, 1).double()
    before, potential = silence(weights)
    seen = torch.ones(P, L, INPUTS).double()
    now = respond(weights, seen, before, potential, theta, keep)
    later = respond(weights, seen, seen, now.potential, theta, keep)
    assert torch.equal(later.memory, now.memory)  # nothing changes on the screen
    gone = respond(weights, 0 * seen, seen, later.potential, theta, keep)
    off = (weights.memory[..., INPUTS:]).sum(-1)
    assert torch.allclose(gone.potential, now.potential + off)
    assert (fresh(weights).potential == 0).all()


def lived(rule: Rule, task: Task, lifetimes: int, backend: str = "torch", **more):
    network = more.pop("network", WorkingMemory())
    return live_augment(
        network, rule, Reward(weight=more.pop("weight", 1.0)), task, individuals=more.pop("individuals", 1),
        lifetime=torch.arange(lifetimes), key=rng.root(0), record=("correct", "reward"), backend=backend,
        dtype=torch.float64,
    )  # fmt: skip


def test_the_kernel_lives_the_same_lives():
    """Individuals with numbers of their own, a reward that counts half, learning and test."""
    betas = Values(data=torch.tensor([0.15, 0.4]), per="brain")
    rule, network = Augment(epsilon=0.3).model_copy(update={"beta": betas}), WorkingMemory(keep=0.9)
    task = SaccadeAntisaccade(trials=30, test_trials=3)
    slow, quick = (
        lived(rule, task, 40, backend, network=network, weight=0.5, individuals=2) for backend in ("torch", "numba")
    )
    for name in ("correct", "reward"):
        assert torch.allclose(quick.recordings[name], slow.recordings[name], atol=1e-6)
    assert torch.equal(quick.score, slow.score)
    assert torch.allclose(quick.curve, slow.curve)
    assert 0 < slow.recordings["correct"].sum() < 30 * 80  # something to be equal about
    assert not torch.equal(slow.recordings["reward"][:, 0], slow.recordings["reward"][:, 1])


def test_a_task_that_is_no_table_and_a_backend_that_cannot_are_refused():
    with pytest.raises(ValueError, match="AuGMEnT's kernel"):
        lived(Augment(), GridNav(trials=2, steps=20), 1, "numba")
    with pytest.raises(ValueError, match="'triton'"):
        lived(Augment(), TASK, 1, "triton")
    with pytest.raises(ValueError, match="lives with augment or fixed"):
        lived(Force(), TASK, 1)
    assert lived(Augment(), GridNav(trials=2, steps=20), 2, "auto").score.isfinite().all()
    assert (lived(Fixed(), TASK, 3).recordings["correct"] == 0).all()


def test_lives_do_not_touch_each_other_and_without_beta_nothing_is_learned():
    task = SaccadeAntisaccade(trials=30, test_trials=0)
    whole, few = (lived(Augment(epsilon=0.3), task, count).recordings["correct"] for count in (6, 2))
    assert torch.equal(whole[:, :, :2], few)
    weights = weights_of(individuals=1)
    like = torch.zeros(1).double()
    keys = rng.lifetime_keys(0, torch.arange(L))
    own = numbers(Augment(beta=0.0), 1, like) | numbers(NETWORK, 1, like)
    outcome = learn(weights, table_of(TASK.automaton), own, keys, keys, Goal(300, 100, 0.85))
    assert all(torch.equal(new, old) for new, old in zip(outcome.weights, weights, strict=True))


def test_a_goal_is_reached_when_all_kinds_are_right_often_enough():
    """Ten of the last twelve trials of each kind; then the task is done without exploring."""
    network, rule, lifetimes = WorkingMemory(), Augment(), 24
    like, table = torch.zeros(1).double(), table_of(SaccadeAntisaccade().automaton)
    outcome = learn(
        weights_of(network, lifetimes, 1), table, numbers(rule, 1, like) | numbers(network, 1, like),
        rng.lifetime_keys(0, torch.arange(lifetimes)), rng.lifetime_keys(0, torch.arange(lifetimes), rng.POLICY),
        Goal(20_000, 12, 10 / 12),
    )  # fmt: skip
    done = outcome.when > 0
    assert done.sum() >= 0.8 * lifetimes
    assert (outcome.reached[done] <= outcome.when[done]).all()
    assert (outcome.reached > 0).sum() >= done.sum()
    for when, right in zip(outcome.when.tolist(), outcome.right, strict=True):
        last = -(-when // 100) if when > 0 else len(right)
        assert (right[:last] >= 0).all()
        assert (right[last:] == -1).all()


def from_the_paper(weights: Weights, task: SaccadeAntisaccade, trials: int, beta: float, epsilon: float) -> list:
    """Rombouts et al. 2015, eqs. 1 to 18, as loops over one network: its weights after so many trials."""
    v_r, v_m, w_r, w_m = (w[0, 0].clone() for w in weights)
    lifetime = torch.arange(1)
    policy = rng.lifetime_keys(0, lifetime, rng.POLICY)
    state, now = task.reset(lifetime, 0)
    for trial in range(trials):
        tags = [torch.zeros_like(w) for w in (v_r, v_m, w_r, w_m)]
        sums, total, before = torch.zeros(v_m.shape[1]).double(), torch.zeros(v_m.shape[0]).double(), torch.zeros(4)
        last_q = reward = 0.0
        ended = False
        step = 0
        while not ended:
            x = now.observation[0].double()
            change = torch.cat([(x - before).clamp(min=0), (before - x).clamp(min=0)])
            before, sums, total = x, sums + change, total + v_m @ change
            seen = torch.cat([torch.ones(1).double(), x])
            y_r = torch.cat([torch.ones(1).double(), 1 / (1 + torch.exp(2.5 - v_r @ seen))])
            y_m = 1 / (1 + torch.exp(2.5 - total))
            q = w_r @ y_r + w_m @ y_m
            coins = rng.uniforms(rng.fold(rng.fold(policy, trial), step), 2)[0]
            action = int(q.argmax())
            if coins[0] < epsilon:
                action = min(int((torch.softmax(q, 0).cumsum(0) <= coins[1]).sum()), 2)
            delta = reward + 0.9 * float(q[action]) - last_q
            for w, tag in zip((v_r, v_m, w_r, w_m), tags, strict=True):
                w += beta * delta * tag
                tag *= 0.2 * 0.9
            tags[2][action] += y_r
            tags[3][action] += y_m
            for j in range(v_r.shape[0]):
                tags[0][j] += seen * y_r[j + 1] * (1 - y_r[j + 1]) * w_r[action, j + 1]
            for j in range(v_m.shape[0]):
                tags[1][j] += sums * y_m[j] * (1 - y_m[j]) * w_m[action, j]
            state, now = task.step(state, torch.tensor([action]))
            last_q, reward, ended, step = float(q[action]), float(now.reward[0]), bool(now.info.trial_end[0]), step + 1
        for w, tag in zip((v_r, v_m, w_r, w_m), tags, strict=True):
            w += beta * (reward - last_q) * tag
    return [v_r, v_m, w_r, w_m]


def test_the_kernel_learns_as_the_loops_of_the_paper_do():
    network, trials = WorkingMemory(weight_range=0.5), 60
    weights, like = weights_of(network, 1, 1), torch.zeros(1).double()
    task = SaccadeAntisaccade(trials=trials, test_trials=0)
    own, goal = numbers(Augment(epsilon=0.3), 1, like) | numbers(network, 1, like), Goal(trials, 100, 0.85)
    keys = [rng.lifetime_keys(0, torch.arange(1), stream) for stream in (rng.TASK, rng.POLICY)]
    outcome = learn(weights, table_of(task.automaton), own, keys[0], keys[1], goal)
    for group, wanted in zip(outcome.weights, from_the_paper(weights, task, trials, 0.15, 0.3), strict=True):
        assert torch.allclose(group[0, 0], wanted, atol=1e-6)
        assert not torch.allclose(group[0, 0], wanted * 1.01, atol=1e-4)
