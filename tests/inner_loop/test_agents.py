"""Agents: cells and the loss against autograd, what they are told, whose gradient is whose, who learns."""

import itertools
from typing import Any

import pytest
import torch
from torch.nn import functional

from metaplastic import rng
from metaplastic.core import Values
from metaplastic.inner_loop.agents.agent import born
from metaplastic.inner_loop.agents.rollout import Actor
from metaplastic.inner_loop.agents.training import train
from metaplastic.inner_loop.gradient.actor_critic import A2C, Settings, loss, returns
from metaplastic.inner_loop.gradient.optimisers import Adam, RMSProp, clipped
from metaplastic.inner_loop.networks.gated import GRU, LSTM
from metaplastic.inner_loop.objectives import Energy, Homeostasis, Mixture, Reward
from metaplastic.tasks.registry import KINDS

KEY = rng.root(5)
FORMS = {
    "lstm": LSTM(units=5, time_input=True),
    "gru": GRU(units=5),
    "separate": LSTM(units=4, networks="separate"),
    "dopamine": LSTM(units=4, networks="dopamine"),
    "expectiles": GRU(units=4, expectiles=3),
    "zero start": LSTM(units=4, learned_start=False),
}


def make(kind, **settings) -> Any:
    return KINDS[kind].model_validate({"kind": kind, **settings})


def bandit(trials=8):
    return make("Bandit-v0", trials=trials - 1, test_trials=1)


def two_step(trials=3):
    return make("TwoStep-v0", trials=trials)


def settings(agents, *, energy=0.0, homeostasis=0.0):
    numbers = (0.8, 0.3, 0.2, energy, homeostasis, 0.1)
    return Settings(*(torch.full((len(agents.weights),), n, dtype=agents.weights.dtype) for n in numbers))


def lived(network, task, agents=2, lanes=3, steps=None):
    brains = born(network, task, agents, rng.fold(KEY, torch.arange(agents)), torch.float64)
    weights = brains.weights + 0.1 * torch.randn(brains.weights.shape, generator=torch.manual_seed(1)).double()
    brains = brains._replace(weights=weights)
    for core in brains.cores:
        reads = core.cell.reads(core.inputs, core.units)
        if reads is not None:
            brains.parameter(f"{core.name}.cell.weight").mul_(reads)
    brains.weights.requires_grad_()
    actor = Actor(brains, task, torch.arange(lanes)[None], KEY, torch.full((agents,), 0.8, dtype=torch.float64))
    return brains, actor.run(steps or actor.world.steps)


def states(core, tape, brains, *, first):
    """The hidden states of one core from its inputs alone, cells written anew for autograd: [P, T, B, H]."""
    units = core.units
    w, b = brains.parameter(f"{core.name}.cell.weight"), brains.parameter(f"{core.name}.cell.bias")
    h, c = tape.hidden[:, 0], tape.cell[:, 0]
    if first and brains.learned_start:
        firsts = [brains.parameter(f"{core.name}.first.{name}")[:, None] for name in ("hidden", "cell")]
        h, c = (one.expand(-1, tape.z.shape[2], -1) for one in firsts)
    rows = []
    for step in range(tape.z.shape[1]):
        x = tape.z[:, step, :, : core.inputs]
        blocks = (torch.einsum("pbx,pgx->pbg", torch.cat((x, h), -1), w) + b[:, None]).split(units, -1)
        if core.cell.carries:
            c = blocks[1].sigmoid() * c + blocks[0].sigmoid() * blocks[3].tanh()
            h = blocks[2].sigmoid() * c.tanh()
        else:
            told = torch.einsum("pbx,pgx->pbg", x, w[:, 2 * units : 3 * units, : core.inputs])
            kept = torch.einsum("pbx,pgx->pbg", h, w[:, 3 * units :, core.inputs :]) + b[:, None, 3 * units :]
            n = (told + b[:, None, 2 * units : 3 * units] + blocks[0].sigmoid() * kept).tanh()
            h = (1 - blocks[1].sigmoid()) * n + blocks[1].sigmoid() * h
        rows.append(h)
    return torch.stack(rows, 1)


def by_autograd(brains, life, numbers, *, first=True):
    """The loss written anew, one step of one episode after the other."""
    heads = {}
    total: Any = 0.0
    alive = life.alive.transpose(0, 1).double()
    for core, tape in zip(brains.cores, life.tapes, strict=True):
        hidden = states(core, tape, brains, first=first)
        out = torch.einsum("ptbh,prh->ptbr", hidden, brains.parameter(f"{core.name}.head.weight"))
        out = out + brains.parameter(f"{core.name}.head.bias")[:, None, None]
        heads |= {name: out[..., f:e] for name, (f, e) in core.heads.items()}
        total = total + numbers.energy * 0.5 * (hidden.square().sum(-1) * alive).sum((1, 2)) / hidden.shape[2]
        mean = (hidden.abs() * alive[..., None]).sum((1, 2)) / alive.sum((1, 2))[:, None]
        total = total + numbers.homeostasis * 0.5 * (mean - numbers.target[:, None]).square().sum(-1)
    total = total.sum()
    for p, b in itertools.product(range(len(brains.weights)), range(life.action.shape[2])):
        coming = 0.0 if life.after is None else life.after[p, b].mean()
        for t in reversed(range(len(life.action))):
            coming = life.reward[t, p, b] + numbers.discount[p] * coming
            if life.alive[t, p, b]:
                value, chances = heads["value"][p, t, b], functional.softmax(heads["policy"][p, t, b], -1)
                part = -chances[life.action[t, p, b]].log() * (coming - value.mean()).detach()
                part = part + numbers.value_weight[p] * expectile_error(value, coming)
                part = part + numbers.entropy[p] * (chances * chances.log()).sum()
                total = total + part / life.action.shape[2]
    return total


def expectile_error(value, target):
    """Mean over channels of |tau - 1{target < v}| (target - v)^2."""
    errors = []
    for k, v in enumerate(value):
        level = (k + 0.5) / len(value)
        errors.append((target - v) ** 2 * (level if target >= v else 1 - level))
    return sum(errors) / len(value)


@pytest.mark.parametrize("task", [bandit, two_step])
@pytest.mark.parametrize("form", FORMS)
def test_the_gradient_is_that_of_autograd(form, task):
    brains, life = lived(FORMS[form], task())
    numbers = settings(brains, energy=0.3, homeostasis=0.7)
    total = loss(brains, life, numbers).total.sum()
    wanted = by_autograd(brains, life, numbers)
    assert torch.allclose(total, wanted, atol=1e-12)
    gradients = [torch.autograd.grad(part, brains.weights, retain_graph=True)[0] for part in (total, wanted)]
    assert torch.allclose(gradients[0], gradients[1], atol=1e-11)
    assert (gradients[0].abs().sum(1) > 0).all()


@pytest.mark.parametrize("form", ["lstm", "gru"])
def test_a_cut_episode_goes_on_from_its_state_and_bootstraps(form):
    brains, _ = lived(FORMS[form], bandit())
    actor = Actor(brains, bandit(), torch.arange(3)[None], KEY, torch.full((2,), 0.8, dtype=torch.float64))
    whole = Actor(brains, bandit(), torch.arange(3)[None], KEY, torch.full((2,), 0.8, dtype=torch.float64)).run(8)
    first, second = actor.run(5), actor.run(3)
    assert torch.equal(torch.cat((first.action, second.action)), whole.action)
    assert torch.allclose(torch.cat((first.value, second.value)), whole.value, atol=1e-12)
    assert first.after is not None
    assert second.after is None
    assert torch.allclose(first.after, whole.value[5], atol=1e-12)
    for life, start in ((first, True), (second, False)):
        total = loss(brains, life, settings(brains), first=start).total.sum()
        wanted = by_autograd(brains, life, settings(brains), first=start)
        pair = [torch.autograd.grad(part, brains.weights, retain_graph=True)[0] for part in (total, wanted)]
        assert torch.allclose(pair[0], pair[1], atol=1e-11)


@pytest.mark.parametrize("form", FORMS)
def test_the_kernels_are_the_cells(form):
    brains, _ = lived(FORMS[form], two_step())
    gradients, values = [], []
    for dtype in (torch.float32, torch.float64):
        weights = brains.weights.detach().to(dtype).requires_grad_()
        agents = brains._replace(weights=weights)
        rate = torch.full((2,), 0.8, dtype=dtype)
        life = Actor(agents, two_step(), torch.arange(3)[None], KEY, rate).run(6)
        assert life.tapes[0].fused == (dtype == torch.float32)
        gradients.append(torch.autograd.grad(loss(agents, life, settings(agents)).total.sum(), weights)[0])
        values.append(life.value)
    assert torch.allclose(values[0].double(), values[1], atol=1e-5)
    assert torch.allclose(gradients[0].double(), gradients[1], atol=2e-5)


def test_returns_of_three_steps_by_hand():
    reward = torch.tensor([1.0, 0.0, 2.0]).reshape(3, 1, 1)
    found = returns(reward, torch.tensor([0.5]), torch.tensor([[4.0]]))
    assert found.flatten().tolist() == [1 + 0.5 * (0.5 * (2 + 0.5 * 4)), 0.5 * (2 + 0.5 * 4), 2 + 0.5 * 4]


def test_the_first_step_is_told_nothing_and_the_next_ones_what_came():
    brains, life = lived(FORMS["lstm"], bandit())
    (core,), (tape,) = brains.cores, life.tapes
    first, end = core.told["action"]
    assert not tape.z[:, 0, :, first:end].any()
    assert not tape.z[:, 0, :, core.told["reward"][0]].any()
    codes = functional.one_hot(life.action, 2).double().transpose(0, 1)
    assert torch.equal(tape.z[:, 1:, :, first:end], codes[:, :-1])
    assert torch.equal(tape.z[:, 1:, :, core.told["reward"][0]], life.reward.transpose(0, 1)[:, :-1].double())
    assert torch.equal(tape.z[0, :, 0, core.told["time"][0]], (torch.arange(8) / 8).double())


def test_the_actor_hears_the_prediction_error_and_never_the_reward():
    brains, life = lived(FORMS["dopamine"], two_step())
    critic, actor = brains.cores
    assert "reward" in critic.told
    assert "reward" not in actor.told
    value = life.value[..., 0]
    delta = life.reward[:-1] + 0.8 * value[1:] - value[:-1]
    heard = life.tapes[1].z[:, :, :, actor.told["rpe"][0]].transpose(0, 1)
    assert torch.allclose(heard[1:], delta, atol=1e-12)
    assert not heard[0].any()


def test_agents_do_not_touch_each_other():
    network, task = LSTM(units=6), bandit()
    keys = rng.fold(KEY, torch.arange(3))
    rule = A2C(updates=4, batch=5)
    together, _ = train(born(network, task, 3, keys), rule, Reward(), task, KEY, streams=torch.arange(3))
    for one in range(3):
        brain = born(network, task, 1, keys[one : one + 1])
        alone, _ = train(brain, rule, Reward(), task, KEY, streams=torch.tensor([one]))
        assert torch.allclose(alone.weights[0], together.weights[one], atol=1e-5)
    assert not torch.allclose(together.weights[0], together.weights[1], atol=1e-2)


def test_a_smaller_agent_in_a_larger_batch_is_itself():
    sizes = Values(torch.tensor([3.0, 7.0]), "brain", 8.0)
    network, task = LSTM().model_copy(update={"units": sizes}), bandit()
    rule = A2C(updates=3, batch=5, learning_rate=0.01)
    brains = born(network, task, 2, KEY)
    trained, _ = train(brains, rule, Mixture(terms=(Reward(), Energy(weight=0.1))), task, KEY)
    weight = trained.parameter("agent.cell.weight").unflatten(1, (4, -1))
    assert not weight[0, :, 3:].any()
    inputs = brains.cores[0].inputs
    assert not weight[0, ..., inputs + 3 :].any()
    assert weight[0, :, :3, : inputs + 3].all()
    assert not trained.parameter("agent.head.weight")[0, :, 3:].any()
    assert trained.units.tolist() == [3, 7]


def test_adam_and_rmsprop_are_those_of_torch():
    torch.manual_seed(0)
    start, gradients = torch.randn(2, 7).double(), 100 * torch.randn(5, 2, 7).double()
    peers = {
        Adam: lambda w: torch.optim.Adam([w], lr=0.01),
        RMSProp: lambda w: torch.optim.RMSprop([w], lr=0.01, alpha=0.99),
    }
    for ours, theirs in peers.items():
        mine, other = start.clone(), start.clone().requires_grad_()
        optimiser, peer = ours(mine), theirs(other)
        for gradient in gradients:
            optimiser.step(mine, gradient, torch.full((2,), 0.01).double())
            other.grad = gradient.clone()
            peer.step()
        # (RMSProp's epsilon is inside the root here, as in A3C; gradients are large, so that it does not count)
        assert torch.allclose(mine, other.detach(), atol=1e-9)


def test_every_agent_is_clipped_by_its_own_norm():
    gradient = torch.tensor([[3.0, 4.0], [0.3, 0.4]])
    found = clipped(gradient, torch.tensor([1.0, 1.0]))
    assert torch.allclose(found, torch.tensor([[0.6, 0.8], [0.3, 0.4]]))


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_agents_learn_to_find_the_better_arm(kind):
    task = make("Bandit-v0", structure="easy", trials=19, test_trials=1)
    network = {"lstm": LSTM, "gru": GRU}[kind](units=16)
    brains = born(network, task, 2, rng.fold(KEY, torch.arange(2)))
    rule = A2C(updates=150, batch=32, learning_rate=0.01, discount=0.8, value_weight=0.2)
    _, history = train(brains, rule, Reward(), task, KEY, streams=torch.arange(2))
    assert (history.score[:5].mean(0) < 0.6).all()
    assert (history.score[-5:].mean(0) > 0.68).all()
    assert history.explained[-5:].mean() > 0.05


def test_without_the_reward_nothing_can_be_learned_within_an_episode():
    task = make("Bandit-v0", structure="easy", trials=19, test_trials=1)
    brains = born(LSTM(units=16, reward_input=False), task, 2, KEY)
    _, history = train(brains, A2C(updates=60, batch=32, learning_rate=0.01, discount=0.8), Reward(), task, KEY)
    assert (history.score[-20:].mean(0) - 0.5).abs().max() < 0.03


def test_costs_of_activity_lower_it():
    task, sizes = bandit(), {}
    costs = {"free": (), "energy": (Energy(weight=0.3),), "homeostasis": (Homeostasis(weight=30.0, target=0.3),)}
    for name, cost in costs.items():
        objective = Mixture(terms=(Reward(), *cost))
        rule = A2C(updates=100, batch=16, learning_rate=0.01)
        trained, _ = train(born(LSTM(units=8), task, 1, KEY), rule, objective, task, KEY)
        life = Actor(trained, task, torch.arange(50)[None], KEY, torch.tensor([0.8])).run(8)
        sizes[name] = life.tapes[0].hidden[:, 1:].abs().mean()
    assert sizes["energy"] < 0.7 * sizes["free"]
    assert abs(sizes["homeostasis"] - 0.3) < 0.05
