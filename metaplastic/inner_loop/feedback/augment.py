"""AuGMEnT: attention tags the synapses of the chosen action, a global error then writes where there are tags.

    delta = r + gamma q_a'(t) - q_a(t - 1),   q 0 at a trial's end                     SARSA                 (1)
    dw = beta delta Tag, for all synapses, and then                                                         (2)
    Tag <- lambda gamma Tag +
        output synapses of the chosen action a    y_j                                                        (3)
        those onto regular unit j                 x_i s'_j w_aj                                              (4)
        those onto memory unit j                  S_i s'_j w_aj,   S <- keep S + [x+, x-]                      (5)

Rombouts, Bohte & Roelfsema 2015, eqs. 13 to 18; `working_memory.py` has the network. What comes down the feedback
connection of the chosen action is w_aj itself (theirs is learned by the same rule and has the same weights). S is what
a memory unit's synapse remembers of its input, so that (3) to (5) are exactly dq_a / dw and Tag is an eligibility trace
of SARSA(lambda). A synapse reads its input's trace, its neuron's activity, the feedback that reaches it, and delta.

Actions are chosen as in Pozzi et al. 2018: with probability epsilon by Boltzmann's law, else the best.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from metaplastic.core import Number, Rule
from metaplastic.fields import Evolves
from metaplastic.inner_loop.networks.working_memory import Activity, Weights
from metaplastic.inner_loop.policies import MaxBoltzmann


class Augment(Rule):
    """Attention-gated memory tagging; the numbers are those of the publication."""

    references: ClassVar[tuple[str, ...]] = (
        "Rombouts, Bohte & Roelfsema 2015, How attention can create synaptic tags for the learning of working memories "
        "in sequential tasks, PLoS Comput Biol 11:e1004060",
        "Le Masson & Alexandre 2016, its replication, ReScience 2",
    )
    networks: ClassVar[tuple[str, ...]] = ("working_memory",)
    kind: Literal["augment"] = "augment"
    beta: Annotated[Number, Evolves(0, 10)] = 0.15
    """learning rate"""
    trace: Annotated[Number, Evolves(0, 1)] = 0.20
    """lambda: a tag keeps lambda gamma of itself from step to step"""
    discount: Annotated[Number, Evolves(0, 1)] = 0.90
    """gamma"""
    epsilon: Annotated[Number, Evolves(0, 1)] = 0.025
    """probability of exploring; 0 in the test"""
    temperature: Annotated[Number, Evolves(0, above=True)] = 1.0
    """of exploration, in units of q"""


def increments(
    weights: Weights, now: Activity, summed: Float[Tensor, "P L transients"], action: Int[Tensor, "P L"]
) -> Weights:
    """What (3) to (5) add to the tags; `summed` is S with this step's transients in it."""
    chosen = torch.nn.functional.one_hot(action, now.q.shape[-1]).to(now.q)
    back = (weights.regular_out * chosen[..., None]).sum(2)[..., 1:], (weights.memory_out * chosen[..., None]).sum(2)
    regular, memory = now.regular[..., 1:], now.memory
    down = back[0] * regular * (1 - regular), back[1] * memory * (1 - memory)
    return Weights(
        down[0][..., None] * now.x[..., None, :],
        down[1][..., None] * summed[..., None, :],
        chosen[..., None] * now.regular[..., None, :],
        chosen[..., None] * now.memory[..., None, :],
    )


def written(weights: Weights, tags: Weights, change: Float[Tensor, "P L"]) -> Weights:
    """Equation (2), `change` is beta delta."""
    return Weights(*(w + change[..., None, None] * tag for w, tag in zip(weights, tags, strict=True)))


def tagged(tags: Weights, more: Weights, decay: Float[Tensor, "#P 1 1 1"]) -> Weights:
    """The tags after a step; `decay` is lambda gamma."""
    return Weights(*(decay * tag + new for tag, new in zip(tags, more, strict=True)))


def act(
    q: Float[Tensor, "P L A"],
    coins: Float[Tensor, "P L 2"],
    epsilon: Float[Tensor, "P L"],
    temperature: Float[Tensor, "P 1"],
) -> Int[Tensor, "P L"]:
    """The action, from two uniform numbers a life."""
    return MaxBoltzmann.choose(q, coins[..., 0], coins[..., 1], {"epsilon": epsilon, "temperature": temperature})
