"""Spike-timing-dependent plasticity by traces: what fired before what, and how long before.

    x_j <- pre_decay x_j + s_j        y_i <- post_decay y_i + s_i                     s: 1 at a spike               (1)
    window          D_ij = potentiation (x_j - s_j) s_i - depression (y_i - s_i) s_j                                 (2)
    stdp            dw_ij = eta D_ij, potentiation times (largest - w)^softness, depression times w^softness
    reward_stdp     e_ij <- trace_decay e_ij + D_ij;      dw_ij = eta (R - Rbar) e_ij                                (3)
    inhibitory_stdp dw_ij = -eta (x_j s_i + (y_i - 2 rate / (1 - post_decay)) s_j)                                   (4)
    spike_pairs     dw_ij = eta (alpha s_j + beta s_i + gamma x_j s_i + kappa y_i s_j)                               (5)

(2) is the pair rule: a pair n steps apart changes w by potentiation pre_decay^n or -depression post_decay^n, and spikes
of the same step leave no mark on each other. Song, Miller & Abbott 2000; softness: Gütig et al. 2003. (3): Florian 2007
(MSTDPET, without the factor 1/tau_e), with the expectation taken off as Frémaux, Sprekeler & Gerstner 2010 showed that
it must be. (4): Vogels et al. 2011 for weights below 0: they grow where the neuron fires more often than `rate`, in
spikes a step. (5): Confavreux et al. 2020, with (4) in it, and stdp but for spikes of the same step. A decay of 0.951
is a time constant of 20 steps. `pre` in a recurrent network is a spike one step old.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from metaplastic.core import Number
from metaplastic.fields import Evolves
from metaplastic.inner_loop.rules.local import ANY, Coefficient, Equations, Fraction, LocalRule, Rate

TRACES = {
    "pre_trace": "pre_decay * pre_trace + pre",
    "post_trace": "post_decay * post_trace + post",
}
"""x_j and y_i of (1)"""
TWENTY_STEPS = 0.951229424500714
"""exp(-1 / 20)"""


class STDP(LocalRule):
    """dw_ij = eta (potentiation x_j s_i - depression y_i s_j): pairs of spikes (Song, Miller & Abbott 2000)."""

    references: ClassVar[tuple[str, ...]] = (
        "Song, Miller & Abbott 2000, Competitive Hebbian learning through spike-timing-dependent synaptic plasticity, "
        "Nat Neurosci 3:919",
        "Gütig, Aharonov, Rotter & Sompolinsky 2003, Learning input correlations through nonlinear temporally "
        "asymmetric Hebbian plasticity, J Neurosci 23:3697",
    )
    kind: Literal["stdp"] = "stdp"
    eta: Coefficient = 0.01
    """learning rate"""
    potentiation: Coefficient = 1.0
    """of a postsynaptic spike after a presynaptic one"""
    depression: Coefficient = 1.05
    """of a presynaptic spike after a postsynaptic one (recalled of Song et al.: A- / A+ = 1.05)"""
    pre_decay: Fraction = TWENTY_STEPS
    """of the presynaptic trace, a step"""
    post_decay: Fraction = TWENTY_STEPS
    """of the postsynaptic trace, a step"""
    softness: Rate = 0.0
    """power of the distance to the bound; 0: changes do not depend on w"""
    largest: Rate = 1.0
    """the bound that soft potentiation keeps away from; depression keeps away from 0"""

    def equations(self) -> Equations:
        """(2), soft where it is."""
        up, down = "potentiation * (pre_trace - pre) * post", "depression * (post_trace - post) * pre"
        if self.softness != 0.0:
            up, down = f"{up} * abs(largest - w)**softness", f"{down} * abs(w)**softness"
        return Equations(f"eta * ({up} - {down})", TRACES)

    def coefficients(self) -> dict[str, Number]:
        """Without the bound where nothing is soft."""
        unread = ("softness", "largest") if self.softness == 0.0 else ()
        return {name: value for name, value in super().coefficients().items() if name not in unread}


class SpikePairs(LocalRule):
    """dw_ij = eta (alpha s_j + beta s_i + gamma x_j s_i + kappa y_i s_j): all rules of single spikes and pairs."""

    references: ClassVar[tuple[str, ...]] = (
        "Confavreux et al. 2020, A meta-learning approach to (re)discover plasticity rules, NeurIPS",
    )
    kind: Literal["spike_pairs"] = "spike_pairs"
    eta: Coefficient = 0.01
    """learning rate"""
    alpha: Coefficient = 0.0
    """of a presynaptic spike"""
    beta: Coefficient = 0.0
    """of a postsynaptic spike"""
    gamma: Coefficient = 1.0
    """of a postsynaptic spike, times the presynaptic trace (spikes of the same step count)"""
    kappa: Coefficient = -1.0
    """of a presynaptic spike, times the postsynaptic trace"""
    pre_decay: Fraction = TWENTY_STEPS
    """of the presynaptic trace, a step"""
    post_decay: Fraction = TWENTY_STEPS
    """of the postsynaptic trace, a step"""

    def equations(self) -> Equations:
        """(5)."""
        return Equations(
            "eta * (alpha * pre + beta * post + gamma * pre_trace * post + kappa * post_trace * pre)", TRACES
        )


class RewardSTDP(LocalRule):
    """dw_ij = eta rpe e_ij, e_ij a fading memory of pairs of spikes (Florian 2007; Frémaux et al. 2010)."""

    references: ClassVar[tuple[str, ...]] = (
        "Florian 2007, Reinforcement learning through modulation of spike-timing-dependent synaptic plasticity, "
        "Neural Comput 19:1468",
        "Fremaux, Sprekeler & Gerstner 2010, Functional requirements for reward-modulated STDP, J Neurosci 30:13326",
    )
    kind: Literal["reward_stdp"] = "reward_stdp"
    eta: Coefficient = 0.01
    """learning rate"""
    potentiation: Coefficient = 1.0
    """of a postsynaptic spike after a presynaptic one"""
    depression: Coefficient = 1.0
    """of a presynaptic spike after a postsynaptic one"""
    pre_decay: Fraction = TWENTY_STEPS
    """of the presynaptic trace, a step"""
    post_decay: Fraction = TWENTY_STEPS
    """of the postsynaptic trace, a step"""
    trace_decay: Fraction = 0.96
    """of the eligibility, a step (25 steps)"""

    def equations(self) -> Equations:
        """(3), written at the trial's end."""
        window = "potentiation * (pre_trace - pre) * post - depression * (post_trace - post) * pre"
        return Equations("eta * rpe * e", {**TRACES, "e": f"trace_decay * e + {window}"}, "trial")


class InhibitorySTDP(LocalRule):
    """Inhibition grows until a neuron fires at its rate (Vogels et al. 2011)."""

    references: ClassVar[tuple[str, ...]] = (
        "Vogels, Sprekeler, Zenke, Clopath & Gerstner 2011, Inhibitory plasticity balances excitation and inhibition "
        "in sensory pathways and memory networks, Science 334:1569",
    )
    kind: Literal["inhibitory_stdp"] = "inhibitory_stdp"
    eta: Coefficient = 0.001
    """learning rate"""
    rate: Annotated[Number, Evolves(0, 1, per=ANY)] = 0.01
    """spikes a step that each neuron seeks"""
    pre_decay: Fraction = TWENTY_STEPS
    """of the presynaptic trace, a step"""
    post_decay: Fraction = TWENTY_STEPS
    """of the postsynaptic trace, a step"""

    def equations(self) -> Equations:
        """(4)."""
        return Equations("-eta * (pre_trace * post + (post_trace - 2 * rate / (1 - post_decay)) * pre)", TRACES)
