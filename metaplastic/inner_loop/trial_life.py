"""Lives of whole trials: a network runs through each trial, the trial is judged, the rule is told, the next one comes.

    R = omega reward of the trial                                     the objective's reward                (1)
    prediction = mean reward of the trial's type, so far              critics.py (3)                        (2)
    rpe = R - prediction;  the rule's last step, and its update                                             (3)

Where the task asks for a choice, the largest of the A outputs acts at every step, and the judgement is that of the
first answer; the network runs on until the longest trial's end, without input once its own trial is over.

A rule's scalars are 0 until the judgement. In its `quiet_trials` nothing is written, while expectations form. Test
trials have neither perturbations nor plasticity. The only Python loop runs over trials; what happens within one is
`trial_torch.py` or the kernel that equals it.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from metaplastic.core import ConfigError, Judgement, Network, Objective, Record, Rule, Task, TrialBatch
from metaplastic.inner_loop import trial_torch
from metaplastic.inner_loop.critics import Critic, picked
from metaplastic.inner_loop.decision_plan import BLOCKS
from metaplastic.inner_loop.networks.rate_rnn import RateRNN
from metaplastic.inner_loop.policies import Policy
from metaplastic.inner_loop.recording import Tape
from metaplastic.inner_loop.trial_plan import Synapses, Trial, TrialPlan, born, make_plan

RECORDS: dict[str, tuple[tuple[str, ...], str]] = {
    "reward": (("trial", "individual", "lifetime"), "reward"),
    "prediction": (("trial", "individual", "lifetime"), "reward"),
    "rpe": (("trial", "individual", "lifetime"), "reward"),
    "score": (("trial", "individual", "lifetime"), ""),
    "correct": (("trial", "individual", "lifetime"), ""),
    "kind": (("trial", "lifetime"), ""),
    "observation": (("trial", "step", "lifetime", "input"), ""),
    "output": (("trial", "step", "individual", "lifetime", "action"), ""),
    "rates": (("trial", "step", "individual", "lifetime", "neuron"), ""),
    "weights": (("trial", "individual", "lifetime", "post", "pre"), ""),
}
"""what can be recorded -> (dimensions, unit); weights are named weights.recurrent …, one for each connection group"""


class Engine(NamedTuple):
    """What runs trials."""

    run_trial: Callable[..., Trial]
    """up to the judgement"""
    finish: Callable[..., Synapses]
    """what the judgement changes; the trial is used up"""


class Told(NamedTuple):
    """What a brain is told of a trial."""

    reward: Float[Tensor, "P L"]
    prediction: Float[Tensor, "P L"]

    @property
    def rpe(self) -> Float[Tensor, "P L"]:
        """Equation (3)."""
        return self.reward - self.prediction


def live_trials(
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
    """P × L lives of `task.trials` and then `task.test_trials` whole trials; all components are expressed.

    Raises ConfigError for parts that do not fit together, and as `backend_for` and `trial_plan.make_plan` do.
    """
    del policy  # outputs are judged as they are: `judge` reads the actions of a choice from them
    engine = ENGINES[backend_for(network, rule, record=record, backend=backend, device=device, dtype=dtype)]()
    assert isinstance(network, RateRNN)
    plan = make_plan(network, rule, objective, critic, task, individuals, lifetime, key, device, dtype)
    tape = Tape(record, RECORDS)
    life = Life(plan, engine, task, lifetime.to(device), key, tape)
    for number in range(task.trials + task.test_trials):
        life.trial(number, rule)
    return summary(task, life.history)._replace(recordings=tape.recordings())


def backend_for(
    network: Network,
    rule: Rule,
    *,
    record: Sequence[str] = (),
    backend: str = "auto",
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> str:
    """Which backend `live_trials` would take: numba, torch, or step (torch without factorised traces).

    Raises ConfigError if the backend that was asked for cannot do it, or if network and rule cannot live whole trials.
    """
    del record  # every backend records
    if not isinstance(network, RateRNN) or not hasattr(rule, "program"):
        raise ConfigError(
            f"whole trials want network rate_rnn and a local rule; got network {network.kind} and rule {rule.kind}"
        )
    fits = dtype == torch.float32 and torch.device(device).type == "cpu"
    if backend == "numba" and not fits:
        raise ConfigError(
            f"backend is 'numba' with {dtype} on {device}; its kernels are for float32 on the CPU, use backend: torch"
        )
    if backend == "triton":
        _check_triton(device, dtype)
    best = "numba" if fits and getattr(rule, "worth_compiling", True) else "torch"
    return best if backend == "auto" else backend


def _check_triton(device: str | torch.device, dtype: torch.dtype) -> None:
    """Refuse what the Triton kernel cannot do."""
    if importlib.util.find_spec("triton") is None:
        raise ConfigError("backend is 'triton', which is not installed: pip install 'metaplastic[triton]'")
    interpreted = os.environ.get("TRITON_INTERPRET") == "1"
    if dtype != torch.float32 or not (torch.device(device).type == "cuda" or interpreted):
        raise ConfigError(
            f"backend is 'triton' with {dtype} on {device}; its kernels are for float32 on a GPU, use device: cuda, or "
            "backend: auto"
        )


def _triton_engine() -> Engine:
    from metaplastic.inner_loop.kernels import triton_kernel

    return Engine(triton_kernel.run_trial, triton_kernel.finish)


def _numba_engine() -> Engine:
    from metaplastic.inner_loop.kernels import trial_kernel

    return Engine(trial_kernel.run_trial, trial_kernel.finish)


ENGINES: dict[str, Callable[[], Engine]] = {
    "torch": lambda: Engine(trial_torch.run_trial, trial_torch.finish),
    "step": lambda: Engine(partial(trial_torch.run_trial, factorised=False), trial_torch.finish),
    "numba": _numba_engine,
    "triton": _triton_engine,
}
"""backend -> what runs trials"""


class Life:
    """All lives on their way through their trials."""

    def __init__(
        self, plan: TrialPlan, engine: Engine, task: Task, lifetime: Int[Tensor, " L"], key: Int[Tensor, ""], tape: Tape
    ) -> None:
        self.plan, self.engine, self.task, self.lifetime, self.key, self.tape = plan, engine, task, lifetime, key, tape
        self.synapses: Synapses = born(plan)
        individuals, lifetimes = plan.brains.weights.shape[:2]
        self.expected = plan.brains.leak.new_zeros(individuals, lifetimes, task.spec.trial_types)
        """the critic's mean reward of each trial type"""
        count = task.trials + task.test_trials
        self.history = Judgement(
            *(self.expected.new_full((count, individuals, lifetimes), torch.nan) for _ in range(3))
        )
        """of all trials; made at once, since small tensors left between large ones scatter the memory"""

    def trial(self, number: int, rule: Any) -> None:
        """The next trial: run, judged, learned from."""
        batch = self.task.render(self.lifetime, number, self.key)
        learns = number < self.task.trials
        changes = self.plan.form.program.update != 0
        plastic = learns and changes and number >= getattr(rule, "quiet_trials", 0)
        if not getattr(rule, "keeps_traces", False):
            self.synapses = self.synapses._replace(traces={})
        before, keep_rates = self.synapses.w, self.tape.wants("rates", number)
        run = self.engine.run_trial(self.plan, self.synapses, batch.x, number, plastic, learns, keep_rates=keep_rates)
        judgement = self.task.judge(run.output, batch)
        told = self._tell(judgement, batch.kind)
        if plastic:
            self.synapses = self.engine.finish(self.plan, run, len(batch.x), told.reward, told.prediction)
        for kept, value in zip(self.history, judgement, strict=True):
            kept[number] = value
        self._note(number, batch, run, judgement, told, before)

    def _tell(self, judgement: Judgement, kind: Int[Tensor, " L"]) -> Told:
        """Equations (1) and (2); then the expectation follows."""
        plan = self.plan
        reward = plan.reward_weight[:, None] * judgement.reward.to(plan.reward_weight)
        place = kind.expand_as(reward)[..., None]
        expected = picked(self.expected, place[..., 0])
        prediction = plan.critic.predict(self.expected, place[..., 0], expected)
        if plan.critic.remembers:
            decay = plan.critic_numbers["decay"][:, None]
            follows = decay * expected + (1 - decay) * reward
            self.expected = self.expected.scatter(-1, place, follows[..., None])
        return Told(reward, prediction)

    def _note(
        self, number: int, batch: TrialBatch, run: Trial, judgement: Judgement, told: Told, before: Tensor
    ) -> None:
        """Keep what was asked for of this trial; weights as they were in it."""
        found = {
            "reward": told.reward,
            "prediction": told.prediction,
            "rpe": told.rpe,
            "score": judgement.score,
            "correct": judgement.correct,
            "kind": batch.kind,
            "observation": batch.x,
            "output": run.output,
            "rates": run.rates,
        }
        for name, value in found.items():
            if self.tape.wants(name, number):
                self.tape.keep(name, value)
        if self.tape.wants("weights", number):
            connections, inputs = self.plan.brains.layout.connections, self.plan.brains.plastic_inputs
            for group, w in zip(
                connections, before.split([inputs, before.shape[-1] - inputs], -1)[-len(connections) :], strict=True
            ):
                self.tape.keep(f"weights.{group.name}", w)


def summary(task: Task, history: Judgement) -> Record:
    """The record of all trials' judgements; no test: the score is that of learning."""
    reward, score, correct = history
    learning = slice(0, task.trials)
    last = slice(task.trials, None) if task.test_trials else learning
    count = min(BLOCKS, task.trials)
    block = torch.arange(task.trials, device=score.device) * count // task.trials
    metrics = {
        "test_reward": reward[last].mean(0),
        "learning_reward": reward[learning].mean(0),
        "test_correct": correct[last].mean(0),
        "learning_correct": correct[learning].mean(0),
    }
    curve = torch.stack([score[learning][block == index].mean(0) for index in range(count)], -1)
    return Record(score[last].mean(0), curve, metrics, {})
