"""Lives of AuGMEnT in a closed loop: every step a brain sees, acts, hears what the last action earned, and writes.

At step t of a trial: the network responds, an action is chosen, delta is known, weights follow the old tags, tags
follow the new action (`feedback/augment.py`, eqs. 1 to 5), the task answers. Where that ends the trial, r - q_a writes
once more; then tags, transients and memory are 0. In the test nothing is written and the best action is taken.

K(POLICY) of a lifetime, folded with trial and step, gives an action's two uniform numbers: the same for all
individuals. `augment_kernel.py` is the same for tasks that are a table.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from metaplastic import rng
from metaplastic.core import ConfigError, Judgement, Objective, Record, Rule, Task
from metaplastic.inner_loop.decision_plan import numbers
from metaplastic.inner_loop.feedback.augment import Augment, act, increments, tagged, written
from metaplastic.inner_loop.networks.working_memory import Weights, WorkingMemory, respond, silence
from metaplastic.inner_loop.objectives import Reward, terms_of
from metaplastic.inner_loop.recording import Tape
from metaplastic.inner_loop.rules.fixed import Fixed
from metaplastic.inner_loop.trial_life import summary

RECORDS: dict[str, tuple[tuple[str, ...], str]] = {
    "reward": (("trial", "individual", "lifetime"), "reward"),
    "score": (("trial", "individual", "lifetime"), ""),
    "correct": (("trial", "individual", "lifetime"), ""),
}
"""what can be recorded -> (dimensions, unit)"""


class Brain(NamedTuple):
    """What lasts from step to step."""

    weights: Weights
    tags: Weights
    summed: Float[Tensor, "P L transients"]
    """S"""
    before: Float[Tensor, "P L I"]
    potential: Float[Tensor, "P L M"]
    expected: Float[Tensor, "P L"]
    """q_a of the last step; 0 at a trial's start"""
    reward: Float[Tensor, "P L"]
    """of the last action; 0 at a trial's start"""


def live_augment(
    network: WorkingMemory,
    rule: Rule,
    objective: Objective,
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
    """P × L lives of all trials of a task in a closed loop; all components are expressed.

    The backend `numba` (and `auto`, where it can) computes in float64, whatever dtype is.

    Raises:
        ConfigError: for a rule that is neither `augment` nor `fixed` (nothing is written, the best action is taken),
            and if the backend that was asked for cannot do it.
    """
    fused = is_fused(task, backend, device)
    if not isinstance(rule, Augment):
        if not isinstance(rule, Fixed):
            raise ConfigError(f"rule is {rule.kind}, and network {network.kind} lives with augment or fixed; take one")
        rule = Augment(beta=0.0, epsilon=0.0)
    lifetime, like = lifetime.to(device), torch.zeros((), dtype=dtype, device=device)
    tape = Tape(record, RECORDS)
    weights = network.birth(task.spec, individuals, rng.lifetime_keys(key, lifetime, rng.INIT), like)
    terms = [numbers(term, individuals, like)["weight"] for term in terms_of(objective) if isinstance(term, Reward)]
    own = numbers(rule, individuals, like) | numbers(network, individuals, like)
    own["worth"] = sum(terms, like.new_zeros(individuals))
    policy = rng.lifetime_keys(key, lifetime, rng.POLICY)
    if fused:
        from metaplastic.inner_loop.feedback import augment_kernel

        table: Any = getattr(task, "automaton", None)
        correct, earned = augment_kernel.live(
            weights, augment_kernel.table_of(table), own, rng.lifetime_keys(key, lifetime), policy,
            task.trials, task.test_trials,
        )  # fmt: skip
        history = Judgement(*(part.to(like) for part in (earned, correct, correct)))
    else:
        life = _Life(task, policy, {name: value[:, None] for name, value in own.items()}, fresh(weights))
        history = life.through(lifetime.expand(individuals, -1), key)
    for number in range(len(history.score)):
        for name in RECORDS:
            if tape.wants(name, number):
                tape.keep(name, getattr(history, name)[number])
    return summary(task, history)._replace(recordings=tape.recordings())


def is_fused(task: Task, backend: str, device: str | torch.device) -> bool:
    """Whether the kernel lives these lives.

    Raises:
        ConfigError: if it was asked for and cannot.
    """
    fits = hasattr(task, "automaton") and torch.device(device).type == "cpu"
    if backend not in ("auto", "torch", "numba") or (backend == "numba" and not fits):
        what = "AuGMEnT's kernel is for tasks whose trials are a table, on the CPU"
        raise ConfigError(
            f"backend is {backend!r} with task {task.kind} on {device}; {what}; use backend: auto or torch"
        )
    return fits and backend != "torch"


def fresh(weights: Weights) -> Brain:
    """A brain at the start of a trial."""
    before, potential = silence(weights)
    tags = Weights(*(torch.zeros_like(w) for w in weights))
    nothing = torch.zeros_like(before[..., 0])
    return Brain(weights, tags, torch.cat([before, before], -1), before, potential, nothing, nothing)


class _Life:
    """All lives on their way."""

    def __init__(self, task: Any, policy: Int[Tensor, " L"], own: dict[str, Tensor], brain: Brain) -> None:
        self.task, self.policy, self.own, self.brain = task, policy, own, brain

    def through(self, lifetime: Int[Tensor, "P L"], key: Int[Tensor, ""]) -> Judgement:
        """All trials; how each went, [trials, P, L]."""
        count = self.task.trials + self.task.test_trials
        history = Judgement(*(self.brain.reward.new_zeros(count, *lifetime.shape) for _ in range(3)))
        state, now = self.task.reset(lifetime, key)
        while not now.terminated.all():
            trial, learns = state.trial, (state.trial < self.task.trials) & ~now.terminated
            action = self.step(now.observation.to(self.brain.reward), trial, state.step, learns)
            state, now = self.task.step(state, action)
            told = self.own["worth"] * now.reward.to(self.brain.reward)
            self.end(told, now.info.trial_end, learns)
            history.reward.scatter_add_(0, trial[None], now.reward.to(history.reward)[None])
            history.score.scatter_add_(0, trial[None], (now.info.score * now.info.trial_end).to(history.score)[None])
            correct = (now.info.correct == 1) & now.info.trial_end
            history.correct.scatter_add_(0, trial[None], correct.to(history.correct)[None])
        return history

    def step(
        self,
        x: Float[Tensor, "P L I"],
        trial: Int[Tensor, "P L"],
        step: Int[Tensor, "P L"],
        learns: Bool[Tensor, "P L"],
    ) -> Int[Tensor, "P L"]:
        """See, act, write, tag; the action."""
        own, brain = self.own, self.brain
        now = respond(brain.weights, x, brain.before, brain.potential, own["theta"][..., None], own["keep"][..., None])
        coins = rng.uniforms(rng.fold(rng.fold(self.policy, trial), step), 2).to(x)
        action = act(now.q, coins, own["epsilon"] * learns, own["temperature"])
        value = now.q.gather(-1, action[..., None])[..., 0]
        delta = brain.reward + own["discount"] * value - brain.expected
        weights = written(brain.weights, brain.tags, own["beta"] * delta * learns)
        summed = own["keep"][..., None] * brain.summed + now.change
        tags = tagged(brain.tags, increments(weights, now, summed, action), self.decay)
        self.brain = Brain(weights, tags, summed, x, now.potential, value, brain.reward)
        return action

    def end(self, reward: Float[Tensor, "P L"], ended: Bool[Tensor, "P L"], learns: Bool[Tensor, "P L"]) -> None:
        """What the action earned; where the trial is over, the last write."""
        brain = self.brain
        last = self.own["beta"] * (reward - brain.expected) * (learns & ended)
        weights = written(brain.weights, brain.tags, last)
        new = fresh(weights)
        kept = [torch.where(ended.reshape(*ended.shape, *(1,) * (a.ndim - 2)), b, a) for a, b in zip(
            (*brain.tags, brain.summed, brain.before, brain.potential, brain.expected, reward),
            (*new.tags, new.summed, new.before, new.potential, new.expected, new.reward), strict=True,
        )]  # fmt: skip
        self.brain = Brain(weights, Weights(*kept[:4]), *kept[4:])

    @property
    def decay(self) -> Float[Tensor, "P 1 1 1"]:
        """lambda gamma."""
        return (self.own["trace"] * self.own["discount"])[..., None, None]
