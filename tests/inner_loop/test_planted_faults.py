"""Do the checks bite? A rule is given one fault after the other, and the checks must catch each; without one, none."""

import pytest
import torch
from rule_checks import faults_of

from metaplastic.inner_loop.feedback.alignment import BatchBackprop
from metaplastic.inner_loop.feedback.reward_gated import BatchQAgrel
from metaplastic.inner_loop.feedback.transport import descend, products


class Faulty(BatchBackprop):
    """Backprop, written so that each of its steps can be spoilt."""

    def change(self, net, state, lesson):
        layers = tuple(self.seen(layer) for layer in lesson.layers)
        signals = self.sent(net, layers, self.top(lesson))
        eta = self.rate(lesson)
        return tuple(eta * part for part in self.combined(signals, layers)), state

    def seen(self, layer):
        return layer

    def top(self, lesson):
        return -lesson.top_error

    def sent(self, net, layers, top):
        return descend(layers, [net.carriers(k) for k in range(1, len(net.weights))], top)

    def rate(self, lesson):
        return lesson.numbers["eta"]

    def combined(self, signals, layers):
        return products(signals, layers)


class SwappedActivity(Faulty):
    def combined(self, signals, layers):
        return tuple(part.mT for part in products(signals, layers))


class WrongSign(Faulty):
    def top(self, lesson):
        return lesson.top_error


class WrongSignBelow(Faulty):
    def sent(self, net, layers, top):
        *below, last = super().sent(net, layers, top)
        return [*(-signal for signal in below), last]


class OneBrainsRate(Faulty):
    def rate(self, lesson):
        return lesson.numbers["eta"][:1]


class DetachedInput(Faulty):
    def seen(self, layer):
        return layer._replace(pre=layer.pre.detach())


class NoDerivative(Faulty):
    def seen(self, layer):
        return layer._replace(gate=torch.ones_like(layer.gate))


class BiasRowShifted(Faulty):
    def seen(self, layer):
        return layer._replace(pre=layer.pre.roll(-1, -1))


class ActivityForPotential(Faulty):
    """The synapse reads its neuron's answer where it should read what came up."""

    def combined(self, signals, layers):
        return tuple(
            signal.mT @ layer.pre.tanh() / signal.shape[2] for signal, layer in zip(signals, layers, strict=True)
        )


class SumForMean(Faulty):
    def combined(self, signals, layers):
        return tuple(signal.mT @ layer.pre for signal, layer in zip(signals, layers, strict=True))


class BrainsMixed(Faulty):
    def top(self, lesson):
        return -lesson.top_error.mean(1, keepdim=True).expand_as(lesson.top_error)


class NextBrainsFeedback(Faulty):
    def sent(self, net, layers, top):
        return descend(layers, [net.carriers(k).roll(1, 0) for k in range(1, len(net.weights))], top)


class TransposedFeedback(Faulty):
    """Where all layers have one size, nothing stops it."""

    def sent(self, net, layers, top):
        return descend(layers, [net.carriers(k).mT for k in range(1, len(net.weights))], top)


CAUGHT_BY = {
    SwappedActivity: "follows_the_gradient_where_shapes_cannot_tell",
    WrongSign: "follows_the_gradient",
    WrongSignBelow: "follows_the_gradient",
    OneBrainsRate: "follows_the_gradient",
    DetachedInput: "can_be_followed_by_a_gradient",
    NoDerivative: "follows_the_gradient",
    BiasRowShifted: "follows_the_gradient",
    ActivityForPotential: "follows_the_gradient",
    SumForMean: "is_a_mean",
    BrainsMixed: "keeps_brains_apart",
    NextBrainsFeedback: "keeps_brains_apart",
    TransposedFeedback: "follows_the_gradient_where_shapes_cannot_tell",
}


@pytest.mark.parametrize("fault", CAUGHT_BY, ids=lambda fault: fault.__name__)
def test_a_planted_fault_is_caught(fault):
    assert CAUGHT_BY[fault] in faults_of(fault())


@pytest.mark.parametrize("rule", [Faulty(), BatchBackprop(), BatchQAgrel()], ids=["unspoilt", "backprop", "q_agrel"])
def test_a_rule_without_a_fault_passes_every_check(rule):
    assert faults_of(rule) == {}
