"""`live`: P individuals × L lifetimes of one expressed experiment. The one entry to everything a brain lives through.

The task says what kind of life it is (`spec.response`): decisions that are rewarded at once, or whole trials that are
judged at their end. Gated networks live as agents, trained over episodes and then tested (`agents/life.py`).

The backends give the same numbers (to floating point): `torch` is the reference, runs on any device and can record;
`numba` is the fused CPU kernel, `triton` the GPU's for whole trials; `step` is the reference without its shortcuts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from jaxtyping import Int
from torch import Tensor

from metaplastic.core import ConfigError, Network, Objective, Record, Rule, Task, near_miss
from metaplastic.inner_loop.critics import Critic
from metaplastic.inner_loop.decision_life import LEARNED, RECORDS, live_decisions
from metaplastic.inner_loop.decision_plan import make_plan
from metaplastic.inner_loop.feedback.augment import Augment
from metaplastic.inner_loop.gradient.descent import Still
from metaplastic.inner_loop.kernels.hoist import change_of, is_finite
from metaplastic.inner_loop.networks.feedforward import Feedforward
from metaplastic.inner_loop.networks.gated import Gated
from metaplastic.inner_loop.networks.modified_gru import ModifiedGRU
from metaplastic.inner_loop.networks.plastic_rnn import PlasticRNN
from metaplastic.inner_loop.networks.rate_rnn import RateRNN
from metaplastic.inner_loop.networks.recurrent import Recurrent
from metaplastic.inner_loop.networks.spiking import SpikingRNN
from metaplastic.inner_loop.networks.working_memory import WorkingMemory
from metaplastic.inner_loop.plastic.differentiable_plasticity import DifferentiablePlasticity
from metaplastic.inner_loop.policies import Policy
from metaplastic.inner_loop.rules.fixed import Fixed
from metaplastic.inner_loop.rules.layered import LayeredRule
from metaplastic.inner_loop.rules.local import LocalRule
from metaplastic.inner_loop.rules.sequence import SequenceRule

Backend = Literal["auto", "torch", "numba", "triton", "step"]

AT_ONCE = 1 << 26
"""numbers that the drawn-ahead decisions of a batch may hold; more lifetimes are lived in turns"""


def live(
    network: Network,
    rule: Rule,
    objective: Objective,
    policy: Policy,
    critic: Critic,
    task: Task,
    *,
    individuals: int,
    lifetime: Int[Tensor, " L"],
    key: Int[Tensor, ""],
    record: Sequence[str] = (),
    backend: str = "auto",
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Record:
    """The record of P × L lives; numbers in the components are plain or `Values`.

    `lifetime` are global numbers: what a life is depends on (key, its number) alone, not on the rest of the batch.
    `record` names what to keep: `action`, `rpe`, `weights every 100` … (RECORDS of the kind of life).

    Raises:
        ConfigError: if the parts do not fit together, a name of `record` is not known, or the backend cannot do it.
    """
    if why := rule.misfit(objective, task):
        raise ConfigError(why)
    if isinstance(network, Gated | ModifiedGRU):
        from metaplastic.inner_loop.agents.life import live_agents

        return live_agents(
            network, rule, objective, task,
            individuals=individuals, lifetime=lifetime, key=key, record=record, device=device, dtype=dtype,
        )  # fmt: skip
    if isinstance(network, WorkingMemory):
        from metaplastic.inner_loop.augment_life import live_augment

        return live_augment(
            network, rule, objective, task,
            individuals=individuals, lifetime=lifetime, key=key,
            record=record, backend=backend, device=device, dtype=dtype,
        )  # fmt: skip
    rule = _in_trials(network, rule, backend, device, dtype)
    if isinstance(rule, SequenceRule):
        from metaplastic.inner_loop.sequence_life import live_sequences

        return live_sequences(
            network, rule, objective, critic, task,
            individuals=individuals, lifetime=lifetime, key=key, record=record, device=device, dtype=dtype,
        )  # fmt: skip
    if isinstance(rule, LayeredRule) and isinstance(network, Feedforward):
        from metaplastic.inner_loop.layered_life import live_layered

        return live_layered(
            network, rule, objective, policy, critic, task,
            individuals=individuals, lifetime=lifetime, key=key, record=record, device=device, dtype=dtype,
        )  # fmt: skip
    if task.spec.response in RateRNN.responses:
        from metaplastic.inner_loop.trial_life import live_trials

        return live_trials(
            network, rule, objective, policy, critic, task,
            individuals=individuals, lifetime=lifetime, key=key,
            record=record, backend=backend, device=device, dtype=dtype,
        )  # fmt: skip
    if not isinstance(network, Feedforward) or not isinstance(rule, LocalRule):
        raise ConfigError(
            f"task {task.kind} asks for decisions, which a feedforward network and a local rule can live; "
            f"the network is {network.kind} and the rule {rule.kind}"
        )
    chosen = backend_for(network, rule, task, record=record, backend=backend, device=device, dtype=dtype)
    parts = []
    for some in lifetime.split(_turn(task)):
        plan = make_plan(network, rule, objective, policy, critic, task, individuals, some, key, device, dtype)
        if chosen == "numba":
            from metaplastic.inner_loop.kernels.decision_kernel import live_fused

            parts.append(live_fused(plan, tuple(record)))
        else:
            parts.append(live_decisions(plan, tuple(record)))
    return parts[0] if len(parts) == 1 else join(parts)


def backend_for(
    network: Network,
    rule: Rule,
    task: Task,
    *,
    record: Sequence[str] = (),
    backend: str = "auto",
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> str:
    """Which backend `live` would take.

    Raises:
        ConfigError: if the backend that was asked for does not exist or cannot do it.
    """
    if backend not in get_args(Backend):
        wanted = ", ".join(get_args(Backend))
        raise ConfigError(f"backend is {backend!r}, wanted one of {wanted}{near_miss(backend, [*get_args(Backend)])}")
    if isinstance(network, SpikingRNN) and isinstance(rule, LocalRule):
        from metaplastic.inner_loop import spiking_life

        return spiking_life.backend_for(rule, backend, device, dtype)
    if isinstance(rule, LayeredRule | SequenceRule | Augment) or isinstance(network, Recurrent):
        if backend in ("numba", "triton"):
            raise ConfigError(
                f"backend is {backend!r}, and rule {rule.kind} lives in PyTorch; use backend: auto or torch"
            )
        return "torch"
    if task.spec.response in RateRNN.responses:
        from metaplastic.inner_loop import trial_life

        return trial_life.backend_for(network, rule, record=record, backend=backend, device=device, dtype=dtype)
    if backend == "triton":
        raise ConfigError(
            "backend is 'triton', whose kernels are for whole trials, not for decisions; use backend: auto"
        )
    why_not = _obstacle(rule, record, device, dtype)
    if backend == "numba" and why_not:
        raise ConfigError(f"backend is 'numba', which cannot do this: {why_not}; use backend: auto or torch")
    wanted = backend == "numba" or (backend == "auto" and getattr(rule, "worth_compiling", True))
    return "numba" if wanted and not why_not else "torch"


def _in_trials(network: Network, rule: Rule, backend: str, device: str | torch.device, dtype: torch.dtype) -> Rule:
    """As a rule of whole trials: a formula in a spiking network, no plasticity in a plastic one; others as they are."""
    if isinstance(network, Recurrent) and isinstance(rule, Fixed):
        return Still()
    if isinstance(network, PlasticRNN) and isinstance(rule, Fixed):
        return DifferentiablePlasticity(rate=0.0, eta=0.0, alpha=0.0)
    if not (isinstance(network, SpikingRNN) and isinstance(rule, LocalRule)):
        return rule
    from metaplastic.inner_loop import spiking_life

    return spiking_life.FormulaTrials(
        rule=rule, fused=spiking_life.backend_for(rule, backend, device, dtype) == "numba"
    )


def join(parts: list[Record]) -> Record:
    """The record of all lifetimes from those of some each, in order."""
    recordings = {}
    for name in parts[0].recordings:
        axis = RECORDS[name.partition(".")[0]][0].index("lifetime")
        recordings[name] = torch.cat([part.recordings[name] for part in parts], axis)
    return Record(
        torch.cat([part.score for part in parts], 1),
        torch.cat([part.curve for part in parts], 1),
        {name: torch.cat([part.metrics[name] for part in parts], 1) for name in parts[0].metrics},
        recordings,
    )


def _obstacle(rule: Rule, record: Sequence[str], device: str | torch.device, dtype: torch.dtype) -> str:
    """Why the fused kernel cannot live these decisions; '' if it can."""
    if set(record) - {LEARNED}:
        return f"it records {LEARNED} alone, and record asks for {', '.join(record)}"
    if torch.device(device).type != "cpu":
        return f"it runs on the CPU, and device is {device}"
    if dtype != torch.float32:
        return f"it computes in float32, and dtype is {dtype}"
    if isinstance(rule, LocalRule) and not is_finite(change_of(rule.program(), {}, rule.keeps_traces)):
        return "the formula has no finite value where traces are 0"
    return ""


def _turn(task: Task) -> int:
    """How many lifetimes are lived at once, so that their observations fit in memory."""
    spec = task.spec
    return max(1, AT_ONCE // ((task.trials + task.test_trials) * (spec.observations + 2 * spec.actions)))
