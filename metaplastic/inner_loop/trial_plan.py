"""Everything that decides a batch of lives of whole trials, as tensors: what each backend is given and gives back.

`TrialForm` is what shapes the code of a trial (a kernel is compiled once for each form), `TrialPlan` the numbers that
go in, `Synapses` what a brain keeps from trial to trial, `Trial` what came of one trial before it is judged.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from metaplastic import rng
from metaplastic.core import ConfigError, Number, Objective, Rule, Task, Values
from metaplastic.inner_loop.critics import Critic
from metaplastic.inner_loop.decision_plan import LIVES_AT, numbers
from metaplastic.inner_loop.formula.program import Place, Program
from metaplastic.inner_loop.networks.rate_rnn import RateBrains, RateRNN, side_by_side
from metaplastic.inner_loop.objectives import Reward, terms_of

SCALARS = ("reward", "prediction", "rpe")
"""what a synapse is told of the judgement"""


class TrialForm(NamedTuple):
    """What the code of a trial depends on; hashable."""

    program: Program
    places: tuple[tuple[str, Place], ...]
    """where each parameter of the program lives"""
    activation: str
    clamped: tuple[tuple[int, float], ...]
    undisturbed: int
    """first steps of a trial without perturbations"""
    settle: int
    """first steps of a trial in which the signal `settled` is 0"""
    bias: bool
    """the input has a neuron that is always 1"""

    @property
    def waits(self) -> bool:
        """The rule's last step of a trial comes after the judgement: it reads it, or writes then."""
        return self.program.writes == "trial" or not self.program.reads.isdisjoint(SCALARS)


class TrialPlan(NamedTuple):
    """P individuals × L lifetimes."""

    form: TrialForm
    brains: RateBrains
    parameters: dict[str, Float[Tensor, "P_or_1 N_or_1 M_or_1"]]
    """the program's coefficients"""
    critic: type[Critic]
    critic_numbers: dict[str, Float[Tensor, " P"]]
    reward_weight: Float[Tensor, " P"]
    noise: Int[Tensor, " L"]
    """K(NOISE) of each lifetime"""


class Synapses(NamedTuple):
    """What lasts from trial to trial."""

    w: Float[Tensor, "P L N M"]
    traces: dict[str, Float[Tensor, "P L N_or_1 M_or_1"]]
    """empty: all start at 0"""


class Last(NamedTuple):
    """The signals of a trial's last step: the rule's own last step waits for the judgement."""

    pre: Float[Tensor, "P L M"]
    post: Float[Tensor, "P L N"]
    potential: Float[Tensor, "P L N"]
    noise: Float[Tensor, "P L N"]


class Trial(NamedTuple):
    """What came of one trial, not yet judged."""

    synapses: Synapses
    last: Last
    output: Float[Tensor, "T P L A"]
    rates: Float[Tensor, "T P L N"] | None
    """the rates of all neurons, if they were asked for"""


def make_plan(
    network: RateRNN,
    rule: Rule,
    objective: Objective,
    critic: Critic,
    task: Task,
    individuals: int,
    lifetime: Int[Tensor, " L"],
    key: Int[Tensor, ""],
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> TrialPlan:
    """The plan of these lives; all components are expressed.

    Raises ConfigError for an objective with costs and for a critic that wants action values.
    """
    like = torch.zeros((), dtype=dtype, device=device)
    birth, noise = (rng.lifetime_keys(key, lifetime.to(device), stream) for stream in (rng.INIT, rng.NOISE))
    brains = network.birth(task.spec, individuals, birth, dtype, device)
    check_drives(objective, critic)
    weights = [numbers(term, individuals, like)["weight"] for term in terms_of(objective)]
    return TrialPlan(
        form=form_of(network, rule),
        brains=brains,
        parameters=_parameters(rule, brains, like),
        critic=type(critic),
        critic_numbers=numbers(critic, individuals, like),
        reward_weight=sum(weights, like.new_zeros(individuals)),
        noise=noise,
    )


def check_drives(objective: Objective, critic: Critic) -> None:
    """Refuse what no whole trial hears.

    Raises:
        ConfigError: for an objective with costs, and for a critic that wants action values.
    """
    others = sorted(term.kind for term in terms_of(objective) if not isinstance(term, Reward))
    if others:
        raise ConfigError(f"objective has {', '.join(others)}; in whole trials only reward drives a brain")
    if critic.kind not in ("running_average", "zero"):
        raise ConfigError(
            f"critic is {critic.kind!r}; whole trials have no action values, wanted running_average or zero"
        )


def form_of(network: RateRNN, rule: Any) -> TrialForm:
    """What the code of these trials depends on."""
    program, values = rule.program(), rule.parameter_values()
    grouped = network.plastic_input
    return TrialForm(
        program=program,
        places=tuple((name, _place(values[name], grouped)) for name in program.parameters),
        activation=str(network.activation),
        clamped=tuple(sorted(network.clamped.items())),
        undisturbed=network.undisturbed,
        settle=getattr(rule, "settle", 0),
        bias=network.bias,
    )


def born(plan: TrialPlan) -> Synapses:
    """The synapses at birth."""
    return Synapses(plan.brains.weights, {})


def shown(plan: TrialPlan, x: Float[Tensor, "T L I"]) -> Float[Tensor, "T L I_and_bias"]:
    """What the input neurons do at each step, the constant 1 first if there is a bias."""
    x = x.to(plan.brains.leak)
    return torch.nn.functional.pad(x, (1, 0), value=1.0) if plan.form.bias else x


def fixed_current(plan: TrialPlan, inputs: Float[Tensor, "T L I"]) -> Float[Tensor, "T L N"]:
    """What the fixed input weights bring to each neuron, without their gain; one input after the other, so that the
    numbers do not depend on the batch."""
    weights = plan.brains.input_weights
    total = weights.new_zeros(*inputs.shape[:2], weights.shape[1])
    for index in range(weights.shape[2]):
        total = torch.addcmul(total, weights[..., index], inputs[..., index, None])
    return total


def _place(value: Number, grouped: bool) -> Place:
    """Where a parameter lives; values that differ between two connection groups side by side live at their columns."""
    if not isinstance(value, Values):
        return "scalar"
    place = LIVES_AT[value.per]
    if grouped and value.per == "connection":
        return "pre"
    return "synapse" if grouped and place == "post" else place


def _parameters(rule: Any, brains: RateBrains, like: Tensor) -> dict[str, Tensor]:
    values = rule.parameter_values()
    return {name: side_by_side(brains.layout, values[name], brains.size, like) for name in rule.program().parameters}
