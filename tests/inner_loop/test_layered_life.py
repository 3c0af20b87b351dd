"""Lives in minibatches: the contract of `rules/layered.py`, with the delta rule and its autograd as the witness."""

from typing import Literal

import pytest
import torch
from tiny_decisions import KEY, TinyTask

from metaplastic.inner_loop.critics import RunningAverage
from metaplastic.inner_loop.lifetime import backend_for, live
from metaplastic.inner_loop.networks.feedforward import Feedforward
from metaplastic.inner_loop.objectives import CrossEntropy, Reward, SquaredError
from metaplastic.inner_loop.policies import Greedy, Softmax
from metaplastic.inner_loop.rules.formula_rule import FormulaRule
from metaplastic.inner_loop.rules.layered import LayeredRule


class Delta(LayeredRule):
    """The output's weights follow its error; the others stay."""

    follows_error = True
    kind: Literal["delta"] = "delta"
    eta: float = 0.1

    def change(self, net, state, lesson):
        still = [torch.zeros_like(w) for w in net.weights[:-1]]
        assert lesson.top_error is not None
        error = -lesson.top_error.mT @ lesson.layers[-1].pre / lesson.x.shape[2]
        return (*still, self.eta * error), state


class Doubtful(Delta):
    """Acts and is tested by the opposite of what its weights say."""

    def answered(self, net, x, numbers):  # noqa: ARG002
        *below, top = net.forward(x)
        return (*below, top._replace(post=-top.post))


def lived(individuals=2, lifetimes=3, objective=None, rule=None, record=(), policy=None, first=0, **network):
    return live(
        Feedforward(units=5, **network),
        rule or Delta(batch=4),
        objective or CrossEntropy(),
        policy or Greedy(),
        RunningAverage(),
        TinyTask(trials=12, test_trials=4),
        individuals=individuals,
        lifetime=torch.arange(first, first + lifetimes),
        key=KEY,
        record=record,
        dtype=torch.float64,
    )


@pytest.mark.parametrize("objective", [CrossEntropy(), SquaredError(), CrossEntropy(weight=2.0)])
def test_the_top_error_is_the_derivative_of_the_cost_of_the_answer(objective):
    output = torch.randn(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    target = torch.eye(5, dtype=torch.float64)[torch.randint(5, (1, 3, 4))]
    if objective.kind == "cross_entropy":
        cost = -(target * output.log_softmax(-1)).sum()
    else:
        cost = 0.5 * (output - target).square().sum()
    (expected,) = torch.autograd.grad(cost, output)
    torch.testing.assert_close(objective.top_error(output.detach(), target), expected, atol=1e-12, rtol=1e-12)


def test_a_minibatch_is_answered_with_one_set_of_weights_and_changes_it_once():
    record = lived(record=["weights", "q", "action"])
    w, q = record.recordings["weights.output"], record.recordings["q"]
    assert w.shape[:3] == (3, 2, 3)
    assert q.shape == (3, 2, 3, 4, w.shape[-2])
    assert not torch.equal(w[0], w[1])
    assert torch.equal(record.recordings["weights.hidden"][0], record.recordings["weights.hidden"][2])


def test_lives_do_not_depend_on_those_beside_them():
    whole, part = lived(record=["weights"]), lived(1, 1, record=["weights"], first=1)
    for name, w in part.recordings.items():
        torch.testing.assert_close(w[:, 0, 0], whole.recordings[name][:, 0, 1], atol=1e-12, rtol=0)
    torch.testing.assert_close(part.score[0, 0], whole.score[0, 1])


def test_it_learns_and_a_stopped_rule_does_not():
    def score(eta):
        return lived(4, 20, rule=Delta(batch=2, eta=eta)).curve[..., -1].mean()

    assert score(0.5) > score(0.0)


def test_what_it_cannot_do_it_says_in_one_line():
    with pytest.raises(ValueError, match="follows the error of the answer, and objective reward has none"):
        lived(objective=Reward())
    with pytest.raises(ValueError, match=r"rule.batch is 50, and a life has 12 trials"):
        lived(rule=Delta(batch=50))
    with pytest.raises(ValueError, match="cross_entropy, which rule formula is not told of"):
        lived(rule=FormulaRule(update="pre * post"), policy=Softmax())
    with pytest.raises(ValueError, match="rule delta lives in PyTorch"):
        backend_for(Feedforward(), Delta(), TinyTask(), backend="numba")


def test_a_network_acts_and_is_tested_by_what_its_rule_says_it_answers():
    one, other = (lived(rule=kind(batch=4, eta=0.0), record=("q", "action")) for kind in (Delta, Doubtful))
    for name in one.recordings:
        if name.startswith("q"):
            torch.testing.assert_close(other.recordings[name].data, -one.recordings[name].data)
    assert not torch.equal(other.recordings["action"].data, one.recordings["action"].data)
    assert not torch.equal(other.metrics["test_reward"], one.metrics["test_reward"])
