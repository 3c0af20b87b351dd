"""Gated recurrent networks, LSTM and GRU, as the brains of agents that act and remember (Wang et al. 2018).

What a network is told at step t: what is seen, its last action (one-hot), the last reward and, if wanted, the time
t / T. At the first step action and reward are 0, which is no action's code. Its state is reset at the start of an
episode and never within. Linear heads give the policy's logits and the value V (or K channels of it).

    shared      one network with both heads                                                  (simulations 1 to 5)
    separate    a critic, told the reward, and an actor, told it too, with a network each
    dopamine    as separate, but the actor is told the critic's prediction error in place of the reward  (simulation 6)

The cells' equations are in `agents/cells.py`. Initial weights are U(-k, k), k = 1 / sqrt(units), the same draws for all
individuals at the places of the largest network; the policy's are a tenth of it (`policy_gain`), all biases of heads 0.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from metaplastic.core import Connection, Layout, Network, Number, TaskSpec
from metaplastic.fields import Evolves, Option, Options
from metaplastic.inner_loop.agents.cells import GATES
from metaplastic.inner_loop.networks.sizes import largest

TOLD = ("action", "reward", "time")
"""what an agent may be told beside what is seen"""


class Gated(Network):
    """What the two kinds have in common."""

    references = (
        "Wang et al. 2018, Prefrontal cortex as a meta-reinforcement learning system, Nat Neurosci 21:860",
        "Wang et al. 2016, Learning to reinforcement learn, arXiv:1611.05763",
    )
    signals: ClassVar[frozenset[str]] = frozenset({"gradient"})
    responses: ClassVar[tuple[str, ...]] = ("each", "act", "choice")
    units: Annotated[Number, Evolves(1, 4096, integer=True, size=True)] = 48
    """H, units of each network"""
    networks: Annotated[Option, Options("shared", "separate", "dopamine")] = "shared"
    """one network with two heads, or actor and critic with a network each"""
    action_input: bool = True
    """the last action is an input"""
    reward_input: bool = True
    """the last reward is an input; false is the control that cannot learn within an episode"""
    time_input: bool = False
    """t / T is an input"""
    learned_start: bool = True
    """the state at the start of an episode is learned; else it is 0"""
    expectiles: Annotated[int, Field(ge=1, le=1000)] = 1
    """K, value channels; channel k learns the (k + 1/2) / K expectile of the return (Dabney et al. 2020)"""
    policy_gain: Annotated[Number, Evolves(0, 100)] = 0.1
    """initial weights of the policy's head, in units of 1 / sqrt(units)"""

    def layout(self, spec: TaskSpec) -> Layout:
        """The recurrent group and the heads of each network, at the largest size."""
        units = largest(self.units)
        names = ("agent",) if self.networks == "shared" else ("critic", "actor")
        width = spec.observations + spec.actions + 2
        groups = [Connection(f"{name}.cell", GATES * units, width + units) for name in names]
        return Layout((*groups, Connection("heads", spec.actions + self.expectiles, units)))


class LSTM(Gated):
    """Long short-term memory (Hochreiter & Schmidhuber 1997)."""

    kind: Literal["lstm"] = "lstm"


class GRU(Gated):
    """Gated recurrent units (Cho et al. 2014)."""

    kind: Literal["gru"] = "gru"
