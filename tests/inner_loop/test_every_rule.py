"""What every rule must keep, lived from end to end: brains are independent, off means off, masks hold, defaults.

A rule lives where it can: layered rules and those of one decision in a feedforward network, the others in the first
network that they name. What one rule alone must do is in the tests of its engine.
"""

from typing import Any

import pytest
import torch
from tiny_decisions import KEY, TinyTask
from tiny_trials import TinyTrials

from metaplastic import rng
from metaplastic.core import Record, Values
from metaplastic.inner_loop.critics import RunningAverage
from metaplastic.inner_loop.lifetime import live
from metaplastic.inner_loop.networks.feedforward import Feedforward
from metaplastic.inner_loop.networks.library import NETWORKS
from metaplastic.inner_loop.objectives import CrossEntropy, Reward
from metaplastic.inner_loop.policies import Softmax
from metaplastic.inner_loop.rules.layered import LayeredRule
from metaplastic.inner_loop.rules.library import RULES
from metaplastic.inner_loop.rules.local import LocalRule
from metaplastic.inner_loop.rules.sequence import SequenceRule, Trials
from metaplastic.inner_loop.sequence_life import stacked

AGENTS = {"a2c", "song17", "augment"}
"""rules of agents in closed loops, with lives of another kind (test_agents.py, test_song17.py, test_augment.py)"""
LIVING = [name for name in RULES if name not in AGENTS]
TRAINED = {"differentiable_plasticity", "backpropamine"}
"""rules whose `eta` is a synapse's own; their rate is the training's"""
WITHOUT_RATE = {name for name in LIVING if "eta" not in RULES[name].model_fields} - {"formula"}
"""nothing to set to 0: the fixed rule, and least squares, whose P starts at a number"""
WITHOUT_SOURCE = {"formula", "fixed", "polynomial", "mlp", "evolved_formula"}
"""families and what the user writes; whether they name one is theirs"""
SETTINGS: dict[str, dict[str, Any]] = {
    "formula": {"update": "eta * post * pre * rpe", "parameters": {"eta": 0.1}},
    "weight_mirror": {"mirror_first": 2, "mirror_batch": 3},
    "innate": {"innate_trials": 1},
}
TOO_SHORT = {"full_force_spiking"}
"""a few steps are too few for its neurons to spike: that it learns at all is shown by its own tests"""
KEPT = {"weights", "readout", "learned", "fixed", "inverse", "inverse_readout", "components"}
"""what least squares writes; its activity goes on from trial to trial"""
NETWORK_SETTINGS: dict[str, dict[str, Any]] = {"rate_rnn": {"units": 8, "noise": 0.1}, "plastic_rnn": {}}
HOMES = {"stdp": "rate_rnn", "reward_stdp": "rate_rnn"}
"""rules that see nothing in a decision of one step"""
SEQUENCES = [name for name in LIVING if issubclass(RULES[name], SequenceRule)]


def network_of(kind: str):
    """A small one."""
    return NETWORKS[kind](**NETWORK_SETTINGS.get(kind, {"units": 8}))


def rate(name: str, value: Any) -> dict[str, Any]:
    """The rule's learning rate, set."""
    return {"rate" if name in TRAINED else "eta": value}


def rule_named(name: str, **given: Any):
    """Small enough to be lived in a blink; `given` may hold expressed genes."""
    small = {"batch": 2} if issubclass(RULES[name], LayeredRule) else {}
    if issubclass(RULES[name], LocalRule):
        small["quiet_trials"] = 0
    if name in SEQUENCES and RULES[name].model_fields["batch"].default > 1:
        small["batch"] = 2
    rule = RULES[name](**small, **SETTINGS.get(name, {}))
    if name == "formula" and "eta" in given:
        return rule.model_copy(update={"parameters": {"eta": given["eta"]}})
    return rule.model_copy(update=given)


def lived(name: str, *, individuals: int = 1, lifetime: list[int] | None = None, **given: Any) -> Record:
    """Some lives of a rule, everything of them recorded that tells of the weights."""
    units, rule = given.pop("units", None), rule_named(name, **given)
    layered = isinstance(rule, LayeredRule)
    decides = layered or (isinstance(rule, LocalRule) and rule.reads() <= Feedforward.signals and name not in HOMES)
    if decides:
        network, task, record = Feedforward(units=6, layers=2), TinyTask(trials=4, test_trials=1), ["learned_weights"]
    else:
        kind = HOMES.get(name, (rule.networks or ("rate_rnn",))[0])
        network, task = network_of(kind), TinyTrials(trials=4, test_trials=2)
        record = ["output"] if isinstance(rule, SequenceRule) else ["weights"]
    if units is not None:
        network = network.model_copy(update={"units": units})
    return live(
        network,
        rule,
        CrossEntropy() if layered and rule.follows_error else Reward(),
        Softmax(),
        RunningAverage(),
        task,
        individuals=individuals,
        lifetime=torch.tensor(lifetime or [0, 1]),
        key=KEY,
        record=record,
        backend="torch",
        dtype=torch.float64,
    )


def told(record: Record, sequence: bool) -> dict[str, torch.Tensor]:
    """What came of [P, L, …] lives."""
    axes = (2, 3) if sequence else (1, 2)
    found = {"score": record.score, "curve": record.curve}
    for name, value in record.recordings.items():
        whole = name.startswith("learned")
        found[name] = value if whole else value.movedim(axes, (0, 1))
    return found


@pytest.mark.parametrize("name", RULES)
def test_a_rule_is_its_published_self_by_default(name):
    rule = RULES[name](**(SETTINGS["formula"] if name == "formula" else {}))
    assert rule.kind == name
    assert RULES[name].model_validate(rule.model_dump()) == rule
    assert name in WITHOUT_SOURCE or rule.references
    assert all(
        field.default_factory or not field.is_required() or name == "formula"
        for field in RULES[name].model_fields.values()
    )


@pytest.mark.parametrize("name", LIVING)
def test_lives_do_not_touch_each_other(name):
    sequence = name in SEQUENCES
    numbers = [3, 0, 7, *range(10, 71)]
    whole = told(lived(name, lifetime=numbers), sequence)
    turned = told(lived(name, lifetime=[5, *numbers[::-1]]), sequence)
    alone = told(lived(name, lifetime=[7]), sequence)
    for part, value in whole.items():
        assert value.isfinite().all()
        torch.testing.assert_close(turned[part][:, 1:].flip(1), value, rtol=1e-6, atol=1e-9)
        torch.testing.assert_close(alone[part][:, 0], value[:, 2], rtol=1e-6, atol=1e-9)
    weights = [value for part, value in whole.items() if part not in ("score", "curve") and name not in TOO_SHORT]
    assert not any(torch.equal(value[:, 0], value[:, 1]) for value in weights)


@pytest.mark.parametrize("name", [name for name in LIVING if name not in WITHOUT_RATE | TOO_SHORT])
def test_an_individuals_rate_is_its_own(name):
    rates = torch.tensor([0.02, 0.05, 0.02], dtype=torch.float64)
    one, other = (
        told(lived(name, individuals=3, **rate(name, Values(given))), name in SEQUENCES)
        for given in (rates, torch.tensor([0.02, 0.1, 0.02], dtype=torch.float64))
    )
    for part, value in one.items():
        torch.testing.assert_close(value[2], value[0], rtol=0, atol=0)
        torch.testing.assert_close(other[part][0], value[0], rtol=0, atol=0)
    weights = [part for part in one if part not in ("score", "curve")]
    assert any(not torch.equal(one[part][1], other[part][1]) for part in weights)
    assert any(not torch.equal(one[part][1], one[part][0]) for part in weights)


@pytest.mark.parametrize("name", [name for name in LIVING if name not in {*WITHOUT_RATE, *SEQUENCES}])
def test_without_a_rate_no_bit_of_a_weight_changes(name):
    off, never = (told(lived(kind, eta=0.0) if kind == name else unlearned(name), False) for kind in (name, ""))
    for part, value in off.items():
        if part.startswith("learned"):
            assert torch.equal(value, never[part])
        elif part.startswith("weights"):
            assert all(torch.equal(value[:, :, trial], value[:, :, 0]) for trial in range(value.shape[2]))


def unlearned(name: str) -> Record:
    """The same brains with the rule that does nothing; all that they share is their birth."""
    rule = rule_named(name)
    if isinstance(rule, LayeredRule) or (rule.reads() <= Feedforward.signals and name not in HOMES):
        return lived("fixed")
    return lived(name, eta=0.0)


@pytest.mark.parametrize("name", SEQUENCES)
def test_a_trial_that_does_not_learn_or_has_no_rate_leaves_the_brain_as_it_was(name):
    rule, task = rule_named(name), TinyTrials()
    network, keys = network_of(rule.networks[0]), rng.fold(KEY, torch.arange(2))
    like = torch.zeros((), dtype=torch.float64)
    trials: Trials = stacked([task.render(torch.arange(2), s, KEY) for s in range(rule.batch)], like)

    def run(one, state, learns, number=2):
        found = one.trial(network, state, trials, keys, number, learns)
        reward = torch.ones(1, 2, rule.batch, dtype=torch.float64)
        return found._replace(state=one.told(found.state, reward, 0 * reward)) if learns else found

    state = rule.born(network, task.spec, 1, keys, like)
    for number in range(2):
        state = run(rule, state, True, number).state
    before = {part: value.clone() for part, value in state.items()}
    after = run(rule, state, False)
    learned = run(rule, state, True).state
    for part, value in before.items():
        assert torch.equal(state[part], value)  # what came in is not written to
        if part in KEPT:
            assert torch.equal(after.state[part], value)
    if name not in TOO_SHORT:
        assert not torch.equal(run(rule, learned, False).output, run(rule, after.state, False).output)
    if name not in WITHOUT_RATE:
        off = rule.model_copy(update=rate(name, 0.0))
        born = off.born(network, task.spec, 1, keys, like)
        unlearned = run(off, run(off, born, True).state, False)
        torch.testing.assert_close(unlearned.output, run(off, born, False).output, rtol=0, atol=0)


@pytest.mark.parametrize("name", [name for name in LIVING if name not in SEQUENCES])
def test_missing_neurons_have_no_weights_and_change_none(name):
    both = lived(name, individuals=2, units=Values(torch.tensor([5.0, 8.0]), high=8.0))
    groups = {part: value for part, value in told(both, False).items() if part not in ("score", "curve")}
    for part, value in groups.items():
        last = value if part.startswith("learned") else value[:, :, -1]
        small = last[0]
        if not part.endswith("output") and "input" not in part:
            assert (small[:, 5:] == 0).all()
            assert (last[1][:, 5:] != 0).any()
    alone = told(lived(name, units=Values(torch.tensor([5.0]), high=8.0)), False)
    for part, value in groups.items():
        torch.testing.assert_close(alone[part][0], value[0], rtol=1e-6, atol=1e-9)
