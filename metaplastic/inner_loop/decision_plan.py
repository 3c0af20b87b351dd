"""Everything that decides a batch of lives of one-step decisions, as tensors: what each backend is given.

`Form` is what shapes the code of a life (a kernel is compiled once for each form), `Plan` the numbers that go in.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from metaplastic import rng
from metaplastic.core import Component, Decisions, Number, Objective, Task, Values
from metaplastic.fields import Evolves
from metaplastic.inner_loop.critics import Critic
from metaplastic.inner_loop.formula.program import Place, Program
from metaplastic.inner_loop.gradient.backprop import Backprop
from metaplastic.inner_loop.networks.feedforward import Brains, Feedforward
from metaplastic.inner_loop.objectives import Cost, Reward, terms_of
from metaplastic.inner_loop.policies import Policy
from metaplastic.inner_loop.rules.local import LIVES_AT, LocalRule

BLOCKS = 20
"""points of a learning curve (fewer trials: one a trial)"""

Teacher = Literal["chosen", "label_error"]
"""what enters the feedback connections at the output: 1 at the chosen answer, or onehot(best answer) - softmax(q)"""


class Form(NamedTuple):
    """What the code of a life depends on; hashable."""

    program: Program
    places: tuple[tuple[str, Place], ...]
    """where each parameter of the program lives"""
    keeps_traces: bool
    layers: int
    """hidden layers"""
    activation: str
    bias: bool
    feedback: str
    teacher: Teacher
    policy: type[Policy]
    critic: type[Critic]
    costs: tuple[type[Cost], ...]


class Plan(NamedTuple):
    """P individuals × L lifetimes of T learning and then test trials."""

    form: Form
    brains: Brains
    parameters: tuple[dict[str, Float[Tensor, "P_or_1 post_or_1 pre_or_1"]], ...]
    """the program's coefficients, for each connection group"""
    policy: dict[str, Float[Tensor, " P"]]
    critic: dict[str, Float[Tensor, " P"]]
    reward_weight: Float[Tensor, " P"]
    costs: tuple[dict[str, Float[Tensor, " P"]], ...]
    decisions: Decisions
    """of all trials, those of the test last"""
    score: Float[Tensor, "T L A"]
    """graded performance of each action"""
    coins: Float[Tensor, "T L 2"]
    """the policy's uniform numbers"""
    trials: int
    """how many trials are for learning"""
    quiet_trials: int
    """how many of them pass before the first write"""
    trial_types: int

    @property
    def blocks(self) -> Int[Tensor, " trials"]:
        """Which point of the learning curve each trial of learning belongs to; they have equally many, or one more."""
        return torch.arange(self.trials) * min(BLOCKS, self.trials) // max(1, self.trials)


def make_plan(
    network: Feedforward,
    rule: LocalRule,
    objective: Objective,
    policy: Policy,
    critic: Critic,
    task: Task,
    individuals: int,
    lifetime: Int[Tensor, " L"],
    key: Int[Tensor, ""],
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Plan:
    """The plan of these lives; all components are expressed."""
    spec = task.spec
    brains = network.birth(spec, individuals, _stream(key, rng.INIT, lifetime), dtype, device)
    like = torch.zeros((), dtype=dtype, device=device)
    terms = terms_of(objective)
    costs = tuple(term for term in terms if isinstance(term, Cost))
    weights = [numbers(term, individuals, like)["weight"] for term in terms if isinstance(term, Reward)]
    count = task.trials + task.test_trials
    decisions = task.decisions(lifetime, 0, count, key)
    seen, payoff, best = (part.to(like) for part in decisions[:3])
    decisions = Decisions(seen, payoff, best, decisions.kind.to(device))
    keys = rng.fold(_stream(key, rng.POLICY, lifetime), torch.arange(count)[:, None])
    return Plan(
        form=form_of(network, rule, objective, policy, critic),
        brains=brains,
        parameters=_parameters(rule, brains, like),
        policy=numbers(policy, individuals, like),
        critic=numbers(critic, individuals, like),
        reward_weight=sum(weights, like.new_zeros(individuals)),
        costs=tuple(numbers(cost, individuals, like) for cost in costs),
        decisions=decisions,
        score=task.score(decisions.payoff),
        coins=rng.uniform(rng.words(keys, 2)).to(like),
        trials=task.trials,
        quiet_trials=rule.quiet_trials,
        trial_types=spec.trial_types,
    )


def form_of(network: Feedforward, rule: LocalRule, objective: Objective, policy: Policy, critic: Critic) -> Form:
    """What the code of these lives depends on."""
    program, values = rule.program(), rule.parameter_values()
    return Form(
        program=program,
        keeps_traces=rule.keeps_traces,
        places=tuple((name, _place(values[name])) for name in program.parameters),
        layers=network.layers,
        activation=str(network.activation),
        bias=network.bias,
        feedback=str(network.feedback),
        teacher=rule.teacher if isinstance(rule, Backprop) else "chosen",
        policy=type(policy),
        critic=type(critic),
        costs=tuple(type(term) for term in terms_of(objective) if isinstance(term, Cost)),
    )


def numbers(component: Component, individuals: int, like: Tensor) -> dict[str, Float[Tensor, " P"]]:
    """The numbers of a component, one an individual."""
    found: dict[str, Tensor] = {}
    for name, field in type(component).model_fields.items():
        if any(isinstance(note, Evolves) for note in field.metadata):
            value = getattr(component, name)
            data = value.data if isinstance(value, Values) else torch.tensor(float(value), dtype=torch.float64)
            found[name] = data.to(like).expand(individuals)
    return found


def _stream(key: Tensor, stream: int, lifetime: Tensor) -> Int[Tensor, " L"]:
    """K(stream) of each lifetime."""
    return rng.fold(rng.fold(key, stream), lifetime)


def _place(value: Number) -> Place:
    return LIVES_AT[value.per] if isinstance(value, Values) else "scalar"


def _parameters(rule: LocalRule, brains: Brains, like: Tensor) -> tuple[dict[str, Tensor], ...]:
    values = rule.parameter_values()
    return tuple(
        {name: brains.layout.expand(values[name], index, like)[:, :post, :pre] for name in rule.program().parameters}
        for index, (post, pre) in enumerate(brains.sizes)
    )
