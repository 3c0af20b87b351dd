"""Song, Yang & Wang 2017: the modified GRU by hand, both gradients by autograd, whose gradient is whose, who learns."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch

from metaplastic import rng
from metaplastic.core import ConfigError, Values
from metaplastic.inner_loop.agents.pair_training import both_losses, lives, look, share_answered, share_correct, train
from metaplastic.inner_loop.agents.pair_trials import decide, expect, noise, told_to_value
from metaplastic.inner_loop.critics import RunningAverage
from metaplastic.inner_loop.gradient.song17 import Song17, credits, losses, returns
from metaplastic.inner_loop.lifetime import live
from metaplastic.inner_loop.networks.modified_gru import ModifiedGRU, Pair, born
from metaplastic.inner_loop.networks.modified_gru_run import run
from metaplastic.inner_loop.objectives import Energy, Reward
from metaplastic.inner_loop.policies import Softmax
from metaplastic.inner_loop.rules.fixed import Fixed
from metaplastic.tasks.registry import KINDS

KEY = rng.root(5)
NETWORK = ModifiedGRU(units=7, value_units=5, density=0.4, noise=0.2, value_noise=0.1)
SHORT: dict[str, Any] = {"fixation": 100, "stimulus": 100, "decision": 100}


def dots(**settings) -> Any:
    kind = "PerceptualDecisionMaking-v0"
    given = {"dt": 50, "timing": SHORT, "trials": 1, "test_trials": 2, **settings}
    return KINDS[kind].model_validate({"kind": kind, **given})


def pair_of(people=2, network=NETWORK, task=None, dtype=torch.float64, *, shaken=True) -> Pair:
    """Brains at birth, moved a little so that nothing is 0."""
    key = rng.fold(KEY, torch.arange(people))
    pair = born(network, (task or dots()).spec, people, key, torch.zeros((), dtype=dtype))
    if shaken:
        for which, cells in enumerate(pair):
            more = rng.normals(rng.fold(key, 100 + which), cells.weights.shape[1]).to(dtype)
            cells.weights.add_(0.2 * more * cells.mask)
        pair.policy.parameter("output.bias")[:, 0] += 1.0  # and some trials last
    for cells in pair:
        cells.weights.requires_grad_()
    return pair


def own(people=2, discount=0.9) -> dict[str, torch.Tensor]:
    return {"worth": torch.full((people,), 1.3).double(), "discount": torch.full((people,), discount).double()}


def by_hand(cells, brain, told, xi):
    """(1) to (3) of modified_gru.py for one trial of one brain, from the paper, in numpy: states and outputs."""
    names = ("input.weight", "input.bias", "recurrent.weight", "start", "output.weight", "output.bias")
    u, b, w, x, w_out, b_out = (cells.parameter(name)[brain].detach().numpy() for name in names)
    n, alpha = cells.units, float(cells.alpha[brain])
    rates, outputs = [np.maximum(x, 0)], [w_out @ np.maximum(x, 0) + b_out]
    for t in range(1, len(told)):
        r = np.maximum(x, 0)
        gate = [
            1 / (1 + np.exp(-(w[k * n : (k + 1) * n] @ r + (u @ told[t] + b)[k * n : (k + 1) * n]))) for k in (0, 1)
        ]
        bracket = w[2 * n :] @ (gate[1] * r) + (u @ told[t] + b)[2 * n :] + float(cells.noise[brain]) * xi[t]
        x = (1 - alpha * gate[0]) * x + alpha * gate[0] * bracket
        rates.append(np.maximum(x, 0))
        outputs.append(w_out @ rates[-1] + b_out)
    return np.stack(rates), np.stack(outputs)


def test_a_forward_pass_is_the_equations():
    pair, told = pair_of(), torch.randn(6, 1, 4, 3, generator=torch.manual_seed(0)).double()
    xi = torch.randn(6, 2, 4, 7, generator=torch.manual_seed(1)).double()
    ran = run(pair.policy, told, xi)
    for brain, trial in itertools.product(range(2), range(4)):
        rates, outputs = by_hand(pair.policy, brain, told[:, 0, trial].numpy(), xi[:, brain, trial].numpy())
        assert np.abs(ran.rates[:, brain, trial].detach().numpy() - rates).max() < 1e-12
        assert np.abs(ran.output[:, brain, trial].detach().numpy() - outputs).max() < 1e-12
    assert (ran.rates == 0).any()  # some are silent: the rectification is seen
    assert torch.allclose(pair.policy.alpha, torch.tensor(0.5).double())
    assert torch.allclose(pair.policy.noise, torch.tensor(0.2 * 2**0.5 / 0.5**0.5).double(), atol=1e-7)


def written_out(cells, told, xi):
    """The same for autograd: outputs [T, P, B, R], a step at a time."""
    n = cells.units
    u, b, w = (cells.parameter(name) for name in ("input.weight", "input.bias", "recurrent.weight"))
    x = cells.parameter("start")[:, None].expand(-1, told.shape[2], -1)
    rows = [x]
    for t in range(1, len(told)):
        r = x.clamp(min=0)
        drive = torch.einsum("pbx,pgx->pbg", told[t].expand(len(w), -1, -1), u) + b[:, None]
        gates = (torch.einsum("pbn,pgn->pbg", r, w[:, : 2 * n]) + drive[..., : 2 * n]).sigmoid()
        bracket = torch.einsum("pbn,pgn->pbg", gates[..., n:] * r, w[:, 2 * n :]) + drive[..., 2 * n :]
        step = cells.alpha[:, None, None] * gates[..., :n]
        x = (1 - step) * x + step * (bracket + cells.noise[:, None, None] * xi[t])
        rows.append(x)
    rates = torch.stack(rows).clamp(min=0)
    out = torch.einsum("tpbn,prn->tpbr", rates, cells.parameter("output.weight"))
    return out + cells.parameter("output.bias")[:, None]


@pytest.mark.parametrize("first", ["own", "future"])
def test_both_gradients_are_those_of_the_written_objectives(first):
    task, pair, lanes = dots(), pair_of(), torch.arange(10)[None].expand(2, -1) + torch.tensor([[0], [50]])
    decided, parts = both_losses(pair, task, lanes, KEY, own(), first)
    logits = written_out(
        pair.policy, decided.batch.x.double(), noise(KEY, lanes, 0, 0, len(decided.action), 7).double()
    )
    value = written_out(pair.value, told_to_value(decided), noise(KEY, lanes, 0, 1, len(decided.action), 5).double())
    policy_loss, value_loss, steps = torch.zeros(2).double(), torch.zeros(2).double(), torch.zeros(2).double()
    for p, b in itertools.product(range(2), range(10)):
        last = int(decided.last[p, b])
        for t in range(last + 1):
            coming = 1.3 * decided.reward[p, b] * 0.9 ** (last - t)
            credit = coming if t or first == "future" else coming * (last == 0)
            chosen = torch.softmax(logits[t, p, b], -1)[decided.action[t, p, b]].log()
            policy_loss[p] = policy_loss[p] - chosen * (credit - value[t, p, b, 0].detach()) / 10
            value_loss[p] = value_loss[p] + (value[t, p, b, 0] - coming) ** 2
            steps[p] += 1
    assert len(decided.last.unique()) > 2  # trials of several lengths
    wanted = policy_loss.sum() + (value_loss / steps).sum()
    assert torch.allclose(parts.policy.sum() + parts.value.sum(), wanted, atol=1e-11)
    weights = [cells.weights for cells in pair]
    found = torch.autograd.grad(parts.policy.sum() + parts.value.sum(), weights)
    for mine, theirs in zip(found, torch.autograd.grad(wanted, weights), strict=True):
        assert torch.allclose(mine, theirs, atol=1e-11)
        assert mine.abs().sum() > 0.1


def test_the_gradient_of_one_network_is_not_that_of_the_other():
    pair, lanes = pair_of(), torch.arange(6)[None]
    _, parts = both_losses(pair, dots(), lanes, KEY, own())
    weights = [cells.weights for cells in pair]
    of_policy = torch.autograd.grad(parts.policy.sum(), weights, retain_graph=True, allow_unused=True)
    of_value = torch.autograd.grad(parts.value.sum(), weights, allow_unused=True)
    assert of_policy[1] is None
    assert of_value[0] is None


def test_the_mean_gradient_is_that_of_the_expected_reward():
    """Three steps, three actions, rewards by when and what: all sequences, each with its chance."""
    pair, steps = pair_of(1), 3
    told = torch.randn(steps, 1, 1, 3, generator=torch.manual_seed(3)).double()
    paid = torch.randn(steps, 3, generator=torch.manual_seed(4)).double()
    baseline = torch.randn(steps, 1, 1, generator=torch.manual_seed(5)).double()
    logits = run(pair.policy, told, None).output
    chances = torch.softmax(logits[:, 0, 0], -1)
    expected, mean = torch.zeros(()).double(), torch.zeros_like(pair.policy.weights)
    for sequence in itertools.product(range(3), repeat=steps):
        last = next((t for t, a in enumerate(sequence) if a), steps - 1)
        chance = torch.stack([chances[t, a] for t, a in enumerate(sequence)]).prod()
        reward = paid[last, sequence[last]].reshape(1, 1)
        expected = expected + chance * reward.sum()
        coming = returns(reward, torch.tensor([[last]]), steps, torch.ones(1).double())
        valid = torch.arange(steps)[:, None, None] <= last
        loss = losses(logits, torch.tensor(sequence)[:, None, None], baseline, coming, coming, valid).policy
        (gradient,) = torch.autograd.grad(loss.sum(), pair.policy.weights, retain_graph=True)
        mean = mean + chance.detach() * gradient
    (wanted,) = torch.autograd.grad(expected, pair.policy.weights)
    assert torch.allclose(mean, -wanted, atol=1e-13)
    assert wanted.abs().max() > 0.01


def test_returns_and_credits_by_hand():
    reward, last = torch.tensor([[4.0, 1.0]]), torch.tensor([[2, 0]])
    coming = returns(reward, last, 4, torch.tensor([0.5]))
    assert coming[:, 0].T.tolist() == [[1, 2, 4, 0], [1, 0, 0, 0]]
    assert credits(coming, last, "own")[:, 0].T.tolist() == [[0, 2, 4, 0], [1, 0, 0, 0]]
    assert credits(coming, last, "future") is coming


def test_birth_is_as_published():
    task = KINDS["PostDecisionWager-v0"].model_validate({"kind": "PostDecisionWager-v0"})
    network = ModifiedGRU(shares={"evidence": (0, 0.5), "sure": (0.5, 1)})
    pair = pair_of(2, network, task, torch.float32, shaken=False)
    policy, value = pair
    for cells in pair:
        cells.weights.requires_grad_(False)
    w = policy.parameter("recurrent.weight").unflatten(1, (3, 100))
    assert ((w != 0).sum(-1) == 10).all()
    for block in (*w.flatten(0, 1), *value.parameter("recurrent.weight").unflatten(1, (3, 100)).flatten(0, 1)):
        assert np.abs(np.linalg.eigvals(block.numpy().astype(float))).max() == pytest.approx(2, abs=1e-4)
    size = value.parameter("recurrent.weight").abs()
    assert float(size.std() / size.mean()) == pytest.approx(0.5, abs=0.03)  # Gamma(4): sd / mean = 1 / sqrt(4)
    u = policy.parameter("input.weight").unflatten(1, (3, 100))
    assert (u[:, :, :50, :3] != 0).all()
    assert not u[:, :, :50, 3].any()
    assert not u[:, :, 50:, 1:3].any()
    assert float(u[..., 0].std()) == pytest.approx(10**0.5 / 4, rel=0.15)
    assert float(value.parameter("input.weight").std()) == pytest.approx(10 / 104, rel=0.05)
    assert not policy.parameter("output.weight").any()
    assert value.parameter("output.bias").tolist() == [[-1.0], [-1.0]]
    assert (policy.parameter("start") == 0.5).all()
    with pytest.raises(ConfigError, match="channels fixation, evidence, sure"):
        pair_of(1, ModifiedGRU(shares={"sur": (0, 1)}), task)


def test_masks_are_kept_and_only_what_learns_moves():
    before = pair_of(2, dtype=torch.float32)
    after, _ = train(before, Song17(updates=5, validate_every=None), Reward(), dots(), KEY)
    for old, new in zip(before, after, strict=True):
        moved = (new.weights != old.weights) & (old.mask > 0)
        assert moved.sum() > 0.8 * old.mask.sum()
        assert torch.equal(new.weights[old.mask == 0], old.weights[old.mask == 0])
    constant, _ = train(before, Song17(updates=5, validate_every=None, baseline="constant"), Reward(), dots(), KEY)
    moved = (constant.value.weights != before.value.weights).any(0).nonzero().flatten().tolist()
    assert moved == [before.value.weights.shape[1] - 1]


def only(cells, one):
    """One brain of them."""
    parts = {name: getattr(cells, name)[one : one + 1] for name in ("weights", "mask", "alpha", "noise")}
    return cells._replace(**parts)


def test_brains_do_not_touch_each_other():
    task, rule, pair = dots(), Song17(updates=4, batch=6, validate_every=None), pair_of(3)
    together, _ = train(pair, rule, Reward(), task, KEY, streams=torch.arange(3))
    for one in range(3):
        alone = Pair(*(only(cells, one) for cells in pair))
        trained, _ = train(alone, rule, Reward(), task, KEY, streams=torch.tensor([one]))
        for mine, theirs in zip(trained, together, strict=True):
            assert torch.allclose(mine.weights[0], theirs.weights[one], atol=1e-12)
    assert not torch.allclose(together.policy.weights[0], together.policy.weights[1], atol=1e-2)


def test_nothing_is_learned_at_birth_unless_the_first_wait_counts_for_itself():
    """All R_t are -1 and so is v: the advantage is 0 at every step, exactly."""
    task = dots(timing={"fixation": 3000, "stimulus": 100, "decision": 100})
    before = pair_of(1, dtype=torch.float32, shaken=False)
    still, _ = train(before, Song17(updates=3, validate_every=None, first_credit="future"), Reward(), task, KEY)
    assert torch.equal(still.policy.weights, before.policy.weights)
    assert torch.equal(still.value.weights, before.value.weights)
    moved, _ = train(before, Song17(updates=3, validate_every=None), Reward(), task, KEY)
    bias = moved.policy.parameter("output.bias")[0]
    assert bias[0] > 0 > bias[1:].max()


def test_brains_learn_a_short_task_and_stop_when_they_know_it():
    network, task = ModifiedGRU(units=20, value_units=15, density=0.3), dots(coherences=(1.0,), sigma=0.1)
    pair = pair_of(2, network, task, torch.float32, shaken=False)
    rule = Song17(updates=200, batch=10, validate_every=10, validation=60, learning_rate=0.01)
    first = look(pair, rule, task, KEY, 0)
    seen = []

    def met(task, lived):
        seen.append(share_answered(lived))
        del task
        return (seen[-1] > 0.9) & (share_correct(lived) > 0.7)

    trained, history = train(pair, rule, Reward(), task, KEY, streams=torch.arange(2), met=met)
    assert (first.p_answered < 0.3).all()
    assert history.reached.all()
    assert (history.updates < 200).all()
    assert torch.equal(history.trials, 10 * history.updates)
    again = look(trained, rule.model_copy(update={"validation": 200}), task, rng.root(9), 0)
    assert (again.p_answered > 0.85).all()
    assert (again.p_correct > 0.6).all()


def test_a_brain_that_is_done_stays():
    rule = Song17(updates=6, batch=4, validate_every=2, validation=10)
    pair = pair_of(2, dtype=torch.float32)
    seen = []

    def met(task, lived):
        del task, lived
        seen.append(1)
        return torch.tensor([True, len(seen) == 2])

    both, history = train(pair, rule, Reward(), dots(), KEY, streams=torch.arange(2), met=met)
    assert history.updates.tolist() == [2, 4]
    short, _ = train(pair, rule.model_copy(update={"updates": 2}), Reward(), dots(), KEY, streams=torch.arange(2))
    assert torch.equal(both.policy.weights[0], short.policy.weights[0])


def test_behaviour_does_not_need_the_value_network():
    task, pair = dots(), pair_of(2, dtype=torch.float32)
    pair, _ = train(pair, Song17(updates=3, validate_every=None), Reward(), task, KEY)
    (before,) = lives(pair.policy, task, torch.arange(20), 0, KEY)
    value = expect(pair, before, torch.arange(20)[None], 0, KEY).output
    pair.value.weights.zero_()
    (after,) = lives(pair.policy, task, torch.arange(20), 0, KEY)
    assert not expect(pair, after, torch.arange(20)[None], 0, KEY).output.any()
    assert value.any()
    assert torch.equal(before.action, after.action)
    assert torch.equal(before.reward, after.reward)


def test_decisions_earn_what_the_task_pays_step_by_step():
    task, pair = dots(), pair_of(2)
    pair.policy.parameter("output.bias").data[:, 0] += 2.0
    lanes = torch.arange(30)[None]
    decided = decide(pair.policy, task, lanes, 0, KEY)
    state, now = task.reset(lanes.expand(2, -1).contiguous(), KEY)
    earned, open_ = torch.zeros(2, 30), torch.ones(2, 30, dtype=torch.bool)
    for t in range(len(decided.action)):
        state, now = task.step(state, decided.action[t])
        earned += now.reward * open_
        ended = open_ & now.info.trial_end
        assert torch.equal(ended, (decided.last == t))
        assert torch.equal(now.info.correct[ended] == 1, decided.correct[ended])
        open_ &= ~now.info.trial_end
    assert torch.equal(earned.double(), decided.reward)
    assert len(decided.reward.unique()) == 3


def lived(rule, network=NETWORK, objective=None, task=None, **more):
    return live(
        network, rule, objective or Reward(), Softmax(), RunningAverage(), task or dots(),
        individuals=2, lifetime=torch.arange(3), key=KEY, **more,
    )  # fmt: skip


def test_it_lives_as_other_rules_do():
    rates = Values(torch.tensor([0.0, 0.01]), "brain", 1.0)
    rule = Song17(updates=3, batch=4, validate_every=None).model_copy(
        update={"learning_rate": rates, "value_learning_rate": rates}
    )
    names = ("observation", "logits", "rates", "value", "value_rates", "answer", "last", "reward")
    record = lived(rule, record=names)
    unborn = lived(Fixed(), record=names)
    assert record.score.shape == (2, 3)
    assert record.curve.shape == (2, 3, 3)
    assert record.recordings["rates"].shape == (2, 6, 2, 3, 7)
    assert torch.equal(record.recordings["rates"][:, :, 0], unborn.recordings["rates"][:, :, 0])
    assert not torch.equal(record.recordings["rates"][:, :, 1], unborn.recordings["rates"][:, :, 1])
    assert record.metrics["training_trials"].tolist() == [[12.0] * 3] * 2


@pytest.mark.parametrize(
    ("task", "objective", "why"),
    [
        (dots(early="penalise"), Reward(), "early: abort"),
        (dots(hold=2), Reward(), "hold: 1"),
        (dots(), Energy(weight=0.1), "rewards alone"),
        (KINDS["Bandit-v0"].model_validate({"kind": "Bandit-v0"}), Reward(), "by 'each'"),
    ],
)
def test_what_does_not_fit_is_refused(task, objective, why):
    with pytest.raises(ConfigError, match=why):
        lived(Song17(updates=1), objective=objective, task=task)
