"""What protects old knowledge: each against its own law, and in lives where it must change no bit when it is off."""

import pytest
import torch
from small_recurrent import KEY, LIKE, SPEC, S, T, leaky, normals, trials
from tiny_decisions import TinyTask
from tiny_lessons import apply, lesson_of, networks

from metaplastic import rng
from metaplastic.core import Values
from metaplastic.inner_loop.consolidation.base import PREFIX, Written, place
from metaplastic.inner_loop.consolidation.beakers import BennaFusi
from metaplastic.inner_loop.consolidation.elastic import Elastic
from metaplastic.inner_loop.consolidation.layered import begin, consolidated, fisher
from metaplastic.inner_loop.consolidation.library import CONSOLIDATIONS
from metaplastic.inner_loop.consolidation.synaptic import SynapticIntelligence
from metaplastic.inner_loop.critics import RunningAverage
from metaplastic.inner_loop.feedback.alignment import BatchBackprop
from metaplastic.inner_loop.feedback.eprop_reward import EPropReward
from metaplastic.inner_loop.feedback.reward_gated import Agrel
from metaplastic.inner_loop.gradient.bptt import BPTT, leaky_gradient
from metaplastic.inner_loop.gradient.fisher import sampled_error
from metaplastic.inner_loop.gradient.rank_one import UORO
from metaplastic.inner_loop.gradient.rtrl import RTRL
from metaplastic.inner_loop.lifetime import live
from metaplastic.inner_loop.networks.feedforward import Feedforward
from metaplastic.inner_loop.objectives import CrossEntropy, Reward, SquaredError
from metaplastic.inner_loop.policies import Softmax
from metaplastic.inner_loop.rules.layered import LayeredRule
from metaplastic.inner_loop.rules.library import RULES

HOWS = {
    "ewc": Elastic(every=2, minibatches=1, strength=5.0),
    "si": SynapticIntelligence(every=2, strength=3.0, damping=1e-3),
    "benna_fusi": BennaFusi(beakers=3),
}
OFF = {"ewc": {"strength": 0.0}, "si": {"strength": 0.0}, "benna_fusi": {"beakers": 1, "alpha": 1e300}}
"""settings at which nothing is protected"""


def lesson(net, rule, seed=0, **given):
    return lesson_of(net, rule, seed=10 * seed, **given)


def learned(rule, net, writes, objective=None):
    """Networks after some minibatches, and what is kept."""
    kept = begin(rule, net)
    for seed in range(writes):
        told = lesson(net, rule, seed)
        changes, _ = rule.change(net, {}, told)
        changes, kept = consolidated(rule, objective or CrossEntropy(), net, changes, told, kept)
        net = apply(net, changes)
    return net, kept


# ---- Benna & Fusi
def test_what_is_left_of_a_change_falls_as_the_square_root_of_time():
    how = BennaFusi(beakers=10, ratio=2.0, alpha=4.0)
    step = how.flow(torch.eye(10, dtype=torch.float64)[None, None, :, :, None])[0, 0, :, :, 0]  # it is linear
    left = {write: float(torch.linalg.matrix_power(step, write)[0, 0]) for write in (100, 1_000, 10_000, 100_000)}
    ratios = [left[10 * write] / left[write] for write in (100, 1_000, 10_000)]
    assert ratios == pytest.approx([10**-0.5] * 3, rel=0.05)


def test_one_beaker_forgets_exponentially_and_a_chain_loses_nothing_but_at_its_end():
    one = torch.ones(1, 1, 1, 1, 1, dtype=torch.float64)
    assert float(BennaFusi(beakers=1, alpha=5.0).flow(one)) == pytest.approx(1 - 1 / 5)
    how, u = BennaFusi(beakers=4, ratio=3.0, alpha=2.0), normals(1, 1, 1, 4, 2, 3)
    size = 3.0 ** torch.arange(4, dtype=torch.float64)[:, None, None]  # C_k
    lost = u[0, 0, -1] * 3.0 ** (-3) / 2.0  # g_{m, m+1} u_m
    torch.testing.assert_close((size * (u - how.flow(u))[0, 0]).sum(0), lost, rtol=0, atol=1e-12)


def test_a_write_is_poured_into_the_first_beaker():
    """Equation (1) in a loop over beakers."""
    rule, net = BatchBackprop(consolidation=BennaFusi(beakers=4, alpha=3.0, ratio=1.5)), networks()
    after, kept = learned(rule, net, 3)
    us, weights = [torch.zeros_like(net.weights[0]) for _ in range(5)], net
    for seed in range(3):
        told = lesson(weights, rule, seed)
        changes = list(rule.change(weights, {}, told)[0])
        us[0] = us[0] + changes[0]
        flows = [1.5 ** (-k) / 3.0 * (us[k] - us[k + 1]) for k in range(4)]
        for k in range(4):
            us[k] = us[k] + ((flows[k - 1] if k else 0.0) - flows[k]) / 1.5**k
        weights = _with_first(learned(rule, net, seed + 1)[0], net.weights[0] + us[0])
    torch.testing.assert_close(after.weights[0], net.weights[0] + us[0], rtol=0, atol=1e-10)
    torch.testing.assert_close(kept[place("beakers", "0")], torch.stack(us[1:4], 2), rtol=0, atol=1e-10)


def _with_first(net, first):
    return net._replace(weights=(first, *net.weights[1:]))


# ---- synaptic intelligence
def quadratic(how, writes, eta=0.1):
    """Descent on 1/2 sum_ij h_ij w_ij^2 by hand through `write`; the way of w and what is kept."""
    h, w = normals(3, 1, 1, 3, 2).abs(), normals(4, 1, 1, 3, 2)
    kept, way = how.start({"a": w}), [w]
    rate = torch.full((1, 1, 1, 1), eta, dtype=torch.float64)
    for _ in range(writes):
        told = Written({"a": w}, {"a": -eta * h * w}, {"a": h * w}, {"a": rate})
        changes, kept = how.write(told, kept)
        w = w + changes["a"]
        way.append(w)
    return h, way, kept


def test_importance_on_a_quadratic_is_the_exact_path_integral():
    how = SynapticIntelligence(every=7, damping=0.02)
    h, way, kept = quadratic(how, 7)
    shrink = 1 - 0.1 * h  # w_n = shrink^n w_0, so -sum g dw = eta h^2 w_0^2 sum shrink^2n
    fall = 0.1 * h**2 * way[0] ** 2 * (1 - shrink**14) / (1 - shrink**2)
    wanted = fall / ((way[-1] - way[0]) ** 2 + 0.02)
    torch.testing.assert_close(kept[place("importance", "a")], wanted, rtol=0, atol=1e-12)
    assert torch.equal(kept[place("anchor", "a")], way[-1])
    assert not kept[place("trace", "a")].any()


def test_the_path_integral_is_the_fall_of_the_loss_for_small_steps():
    h, way, kept = quadratic(SynapticIntelligence(every=5_000), 300, eta=1e-3)
    fall = 0.5 * h * (way[0] ** 2 - way[-1] ** 2)
    torch.testing.assert_close(kept[place("trace", "a")], fall, rtol=5e-3, atol=0)


def test_a_layered_rule_tells_synaptic_intelligence_the_gradient_it_descends():
    how = SynapticIntelligence(every=100)
    rule, net = BatchBackprop(eta=0.3, consolidation=how), networks()
    told = lesson(net, rule)
    (change, *_), _ = rule.change(net, {}, told)
    _, kept = learned(rule, net, 1)
    torch.testing.assert_close(kept[place("trace", "0")], change**2 / 0.3, rtol=0, atol=1e-12)


# ---- elastic weights
def test_fisher_information_of_logistic_regression_is_the_analytic_one():
    """Two answers: d log p(a) / dW_a = (1{a} - p) x, whose mean square is p (1 - p) x^2 for both rows."""
    net = networks((), actions=2)
    told = lesson(net, BatchBackprop())
    p = torch.sigmoid(told.output[..., :1] - told.output[..., 1:])
    x = told.layers[0].pre
    wanted = (p * (1 - p) * x**2).mean(2, keepdim=True).expand(-1, -1, 2, -1)
    torch.testing.assert_close(fisher(net, told, gaussian=False)["0"], wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("gaussian", [False, True])
def test_fisher_information_is_the_mean_square_of_every_decisions_gradient(gaussian):
    net = networks((3,), lives=(1, 1))
    told = lesson(net, BatchBackprop())
    wanted = [torch.zeros_like(w) for w in net.weights]
    for s in range(told.x.shape[2]):
        for a in range(told.output.shape[-1]):
            leaves = [w.clone().requires_grad_() for w in net.weights]
            q = net._replace(weights=tuple(leaves)).forward(told.x[:, :, s : s + 1])[-1].post[0, 0, 0]
            value, chance = (q[a], 1.0) if gaussian else (q.log_softmax(0)[a], q.detach().softmax(0)[a])
            for k, g in enumerate(torch.autograd.grad(value, leaves)):
                wanted[k] += chance * g**2 / told.x.shape[2]
    for found, one in zip(fisher(net, told, gaussian).values(), wanted, strict=True):
        torch.testing.assert_close(found, one, rtol=0, atol=1e-10)


@pytest.mark.parametrize("loss", ["squared", "cross_entropy"])
def test_a_drawn_targets_gradient_squared_has_the_fisher_information_as_its_mean(loss):
    """Many draws of one minibatch against sums over steps, answers and streams of autograd's squares."""
    network, state = leaky()
    rule, given, draws = BPTT(loss=loss), trials(4), 8_000
    one = {name: value[:1] for name, value in state.items()}
    alike = {name: value.expand(1, draws, *value.shape[2:]) for name, value in one.items()}
    many = given._replace(**{name: getattr(given, name).expand(4, draws, *getattr(given, name).shape[2:])
                             for name in ("x", "y", "w")})  # fmt: skip
    keys = rng.fold(KEY[0], torch.arange(draws))
    found = rule.fisher(network, alike, network.run(alike, many.x), many, keys)
    wanted = exact_fisher(network, one, given, loss)
    for name, value in found.items():
        mean, error = value[0].mean(0), value[0].std(0) / draws**0.5
        assert (((mean - wanted[name]) / error.clamp(min=1e-15)).square().mean().sqrt()) < 1.6
        assert (mean - wanted[name]).abs().max() < 0.06 * wanted[name].max()


def exact_fisher(network, state, given, loss):
    """The mean over streams of sum_t w_t^2 E[(d log p_t / dw)^2]; the targets of the steps are independent."""
    net, tape = network.tensors(state), network.run(state, given.x)
    share = given.w / given.w.sum(0)
    total = {name: torch.zeros_like(state[name][0, 0]) for name in ("input", "recurrent", "readout")}
    for t in range(4):
        for s in range(S):
            for a in range(tape.output.shape[-1]):
                q = tape.output[t, 0, 0, s].softmax(-1)
                one = torch.eye(len(q), dtype=torch.float64)[a]
                error = torch.zeros_like(tape.output)
                error[t, 0, 0, s] = share[t, 0, s] * (one if loss == "squared" else one - q)
                for name, g in leaky_gradient(net, tape, error).items():
                    weight = 1.0 if loss == "squared" else float(q[a])
                    total[name] += weight * (S * g[0, 0]) ** 2 / S
    return total


def test_drawn_targets_have_the_models_own_chances():
    output = normals(5, 1, 1, 1, 1, 3).expand(1, 1, 20_000, 1, 3)
    keys = rng.fold(KEY[0], torch.arange(20_000))
    error = sampled_error(output, torch.ones(1, 20_000, 1).double(), "cross_entropy", keys)
    assert error.mean(2).abs().max() < 4 * 0.5 / 20_000**0.5
    assert torch.allclose(error.sum(-1), torch.zeros(()).double(), atol=1e-12)


def test_springs_hold_a_weight_at_what_the_last_task_left():
    """By hand: two writes without springs, then k = eta lambda F."""
    how = Elastic(every=2, minibatches=1, strength=5.0)
    rule, net = BatchBackprop(eta=0.3, consolidation=how), networks()
    free, _ = learned(rule.model_copy(update={"consolidation": None}), net, 2)
    held, kept = learned(rule, net, 2)
    assert all(torch.equal(a, b) for a, b in zip(free.weights, held.weights, strict=True))
    before, _ = learned(rule, net, 1)
    F = fisher(before, lesson(before, rule, 1), gaussian=False)["0"]
    torch.testing.assert_close(kept[place("importance", "0")], F, rtol=0, atol=1e-14)
    third, _ = learned(rule, net, 3)
    (change, *_), _ = rule.change(held, {}, lesson(held, rule, 2))
    k = 0.3 * 5.0 * F
    torch.testing.assert_close(third.weights[0], held.weights[0] + change / (1 + k), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["ewc", "si"])
def test_strong_springs_hold_still_and_never_run_away(name):
    how = HOWS[name].model_copy(update={"strength": 1e12})
    rule, net = BatchBackprop(eta=0.3, consolidation=how), networks()
    held, _ = learned(rule, net, 2)
    after, kept = learned(rule, net, 3)
    for k, (one, other) in enumerate(zip(held.weights, after.weights, strict=True)):
        important = kept[place("importance", str(k))] > 1e-3
        assert important.any()
        assert (one - other)[important].abs().max() < 1e-6


# ---- all
@pytest.mark.parametrize("name", HOWS)
def test_what_is_off_changes_no_bit(name):
    off = HOWS[name].model_copy(update=OFF[name])
    rule = BatchBackprop(batch=2)
    plain, protected, on = (
        lived(rule.model_copy(update={"consolidation": how})).recordings for how in (None, off, HOWS[name])
    )
    still, never = (
        lived(rule.model_copy(update={"consolidation": how, "eta": 0.0})).recordings for how in (HOWS[name], None)
    )
    for part, value in plain.items():
        assert torch.equal(value, protected[part])
        assert torch.equal(still[part], never[part])
    assert any(not torch.equal(value, on[part]) for part, value in plain.items())


def lived(rule, individuals=1, lifetime=(0, 1), units=6):
    objective = CrossEntropy() if rule.follows_error else Reward()
    return live(
        Feedforward().model_copy(update={"units": units}), rule, objective, Softmax(), RunningAverage(),
        TinyTask(trials=8, test_trials=1), individuals=individuals, lifetime=torch.tensor(lifetime), key=KEY[0],
        record=["learned_weights"], backend="torch", dtype=torch.float64,
    )  # fmt: skip


@pytest.mark.parametrize("name", HOWS)
def test_brains_are_apart_and_a_gene_is_each_individuals_own(name):
    gene = "alpha" if name == "benna_fusi" else "strength"
    how = HOWS[name].model_copy(update={gene: Values(torch.tensor([2.0, 9.0]).double())})
    both = lived(BatchBackprop(batch=2, consolidation=how), individuals=2)
    for p, value in enumerate((2.0, 9.0)):
        one = BatchBackprop(batch=2, consolidation=HOWS[name].model_copy(update={gene: value}))
        alone = lived(one, lifetime=(1,))
        for part, weights in both.recordings.items():
            torch.testing.assert_close(weights[p, 1], alone.recordings[part][0, 0], rtol=1e-9, atol=1e-12)
    assert any(not torch.allclose(weights[0], weights[1]) for weights in both.recordings.values())


@pytest.mark.parametrize("name", [name for name, rule in RULES.items() if issubclass(rule, LayeredRule)])
def test_every_layered_rule_can_have_it(name):
    small = {"mirror_first": 2, "mirror_batch": 3} if name == "weight_mirror" else {}
    rule, how = RULES[name](batch=2, **small), HOWS["si"]
    assert isinstance(rule, LayeredRule)
    plain, held = (lived(rule.model_copy(update={"consolidation": c})).recordings for c in (None, how))
    alone = lived(rule.model_copy(update={"consolidation": how}), lifetime=(1,)).recordings
    for part, value in held.items():
        assert value.isfinite().all()
        torch.testing.assert_close(alone[part][:, 0], value[:, 1], rtol=1e-9, atol=1e-12)
    assert any(not torch.equal(value, plain[part]) for part, value in held.items())


@pytest.mark.parametrize("name", HOWS)
def test_missing_neurons_stay_away(name):
    sizes = Values(torch.tensor([5.0, 8.0]), high=8.0)
    record = lived(BatchBackprop(batch=2, consolidation=HOWS[name]), individuals=2, units=sizes)
    hidden = record.recordings["learned_weights.hidden"]
    assert (hidden[0, :, 5:] == 0).all()
    assert (hidden[1, :, 5:] != 0).any()


@pytest.mark.parametrize("name", HOWS)
@pytest.mark.parametrize("rule", [BPTT(optimiser="adam"), UORO()], ids=["bptt", "uoro"])
def test_rules_through_time_have_it_too(rule, name):
    states = {}
    for label, how in {"none": None, "off": HOWS[name].model_copy(update=OFF[name]), "on": HOWS[name]}.items():
        one, (network, _) = rule.model_copy(update={"consolidation": how}), leaky(density=0.6)
        state = one.born(network, SPEC, 2, KEY, LIKE)
        for number in range(4):
            state = one.trial(network, state, trials(T), rng.fold(KEY, number), number, learns=True).state
        states[label] = state
        assert (state["recurrent"][state["mask.recurrent"] == 0] == 0).all()
    for group in ("input", "recurrent", "readout"):
        assert torch.equal(states["none"][group], states["off"][group])
        assert not torch.equal(states["none"][group], states["on"][group])
        assert states["on"][group].isfinite().all()
    tested = rule.model_copy(update={"consolidation": HOWS[name]}).trial(
        network, states["on"], trials(T), KEY, 0, learns=False
    )
    assert all(torch.equal(tested.state[part], value) for part, value in states["on"].items())
    assert any(part.startswith(PREFIX) for part in states["on"])


def test_what_cannot_be_told_is_refused():
    ewc = Elastic(every=2, minibatches=1)
    with pytest.raises(ValueError, match="minibatches is 10, wanted at most every, 2"):
        Elastic(every=2)
    with pytest.raises(ValueError, match="kind is 'ewcs'"):
        BatchBackprop.model_validate({"consolidation": {"kind": "ewcs", "every": 3}})
    task = TinyTask(trials=4, test_trials=1)
    assert "needs answers with a likelihood" in Agrel(consolidation=ewc).misfit(Reward(), task)
    assert BatchBackprop(batch=2, consolidation=ewc).misfit(SquaredError(), task) == ""
    assert "needs Fisher information" in EPropReward(batch=1, consolidation=ewc).misfit(Reward(), task)
    assert "needs Fisher information" in RTRL(writes="step", consolidation=ewc).misfit(Reward(), task)
    assert RTRL(writes="step", consolidation=HOWS["si"]).misfit(Reward(), task) == ""


def test_every_consolidation_is_in_the_tests():
    assert set(HOWS) == set(CONSOLIDATIONS)
    assert all(how.kind == name and how.references for name, how in HOWS.items())
