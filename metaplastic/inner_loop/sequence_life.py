"""Lives of whole trials whose rule runs them itself (`rules/sequence.py`): minibatches of S trials, then the test.

    trials m S … m S + S - 1 are run by the rule, which sees the targets and writes when it wants            (1)
    each is judged by the task; the critic expects the mean reward of its type; `told` hears of both         (2)

In the test nothing is learned and the judgement is of the outputs alone. Outputs that are not finite make a failed
life (NaN).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from metaplastic import rng
from metaplastic.core import Judgement, Network, Objective, Record, Task, TrialBatch
from metaplastic.inner_loop.critics import Critic
from metaplastic.inner_loop.decision_plan import numbers
from metaplastic.inner_loop.objectives import Reward, terms_of
from metaplastic.inner_loop.recording import Tape
from metaplastic.inner_loop.rules.sequence import SequenceRule, Trials
from metaplastic.inner_loop.trial_life import summary
from metaplastic.inner_loop.trial_plan import check_drives

RECORDS: dict[str, tuple[tuple[str, ...], str]] = {
    "reward": (("batch", "individual", "lifetime", "trial"), "reward"),
    "score": (("batch", "individual", "lifetime", "trial"), ""),
    "observation": (("batch", "step", "lifetime", "trial", "input"), ""),
    "target": (("batch", "step", "lifetime", "trial", "action"), ""),
    "output": (("batch", "step", "individual", "lifetime", "trial", "action"), ""),
    "rates": (("batch", "step", "individual", "lifetime", "trial", "neuron"), ""),
}
"""what can be recorded -> (dimensions, unit); the rule gives `rates` in `Lived.seen`"""


def live_sequences(
    network: Network,
    rule: SequenceRule,
    objective: Objective,
    critic: Critic,
    task: Task,
    *,
    individuals: int,
    lifetime: Int[Tensor, " L"],
    key: Int[Tensor, ""],
    record: Sequence[str] = (),
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Record:
    """P × L lives of `task.trials` trials, S at a time, and then the test; all components are expressed.

    Raises:
        ConfigError: as `trial_plan.check_drives` says.
    """
    check_drives(objective, critic)
    like = torch.zeros((), dtype=dtype, device=device)
    lifetime = lifetime.to(device)
    weights = [numbers(term, individuals, like)["weight"] for term in terms_of(objective) if isinstance(term, Reward)]
    life = _Life(network, rule, critic, task, lifetime, key, Tape(record, RECORDS))
    life.begin(individuals, like, sum(weights, like.new_zeros(individuals)))
    for first in range(0, task.trials, rule.batch):
        life.minibatch(first, rule.batch, learns=True)
    for first in range(task.trials, task.trials + task.test_trials, rule.batch):
        life.minibatch(first, min(rule.batch, task.trials + task.test_trials - first), learns=False)
    return summary(task, Judgement(*map(torch.cat, zip(*life.history, strict=True))))._replace(
        recordings=life.tape.recordings()
    )


class _Life:
    """All lives on their way through their trials."""

    def __init__(
        self,
        network: Network,
        rule: SequenceRule,
        critic: Critic,
        task: Task,
        lifetime: Int[Tensor, " L"],
        key: Int[Tensor, ""],
        tape: Tape,
    ) -> None:
        self.network, self.rule, self.critic, self.task = network, rule, critic, task
        self.lifetime, self.tape, self.key = lifetime, tape, key
        self.history: list[Judgement] = []
        """of each minibatch, [S, P, L]"""

    def begin(self, individuals: int, like: Tensor, reward_weight: Float[Tensor, " P"]) -> None:
        """Birth."""
        spec, self.like, self.reward_weight = self.task.spec, like, reward_weight
        birth = rng.lifetime_keys(self.key, self.lifetime, rng.INIT)
        self.noise = rng.lifetime_keys(self.key, self.lifetime, rng.NOISE)
        self.state = self.rule.born(self.network, spec, individuals, birth, like)
        self.expected = like.new_zeros(individuals, len(self.lifetime), spec.trial_types)
        self.decay = numbers(self.critic, individuals, like).get("decay", like.new_zeros(individuals))

    def minibatch(self, first: int, count: int, learns: bool) -> None:
        """The next S trials: run, judged, learned from."""
        batches = [self.task.render(self.lifetime, first + s, self.key) for s in range(count)]
        trials = stacked(batches, self.like)
        lived = self.rule.trial(self.network, self.state, trials, rng.fold(self.noise, first), first, learns)
        judged = [self.task.judge(lived.output[..., s, :], batch) for s, batch in enumerate(batches)]
        judgement = Judgement(*(torch.stack(parts).to(self.like) for parts in zip(*judged, strict=True)))
        finite = lived.output.isfinite().all(-1).all(0).movedim(-1, 0)
        judgement = judgement._replace(score=torch.where(finite, judgement.score, torch.nan))
        self.history.append(judgement)
        reward = (self.reward_weight[:, None] * judgement.reward).movedim(0, -1)
        if learns:
            kinds = torch.stack([batch.kind for batch in batches], -1)
            self.state = self.rule.told(lived.state, reward, self._predict(kinds, reward))
        found = {
            "reward": reward, "score": judgement.score.movedim(0, -1), "observation": trials.x, "target": trials.y,
            "output": lived.output, **lived.seen,
        }  # fmt: skip
        number = first // self.rule.batch
        for name, value in found.items():
            if self.tape.wants(name, number) and count == self.rule.batch:
                self.tape.keep(name, value)

    def _predict(self, kinds: Int[Tensor, "L S"], reward: Float[Tensor, "P L S"]) -> Float[Tensor, "P L S"]:
        """What the critic expected of each trial; then its expectations follow, trial after trial."""
        predictions = []
        for s in range(reward.shape[-1]):
            place = kinds[:, s].expand_as(reward[..., s])[..., None]
            expected = self.expected.gather(-1, place)
            predictions.append(expected if self.critic.remembers else torch.zeros_like(expected))
            if self.critic.remembers:
                decay = self.decay[:, None, None]
                self.expected = self.expected.scatter(
                    -1, place, decay * expected + (1 - decay) * reward[..., s : s + 1]
                )
        return torch.cat(predictions, -1)


def stacked(batches: Sequence[TrialBatch], like: Tensor) -> Trials:
    """S rendered trials as one minibatch; dtype and device of `like`."""
    x, y, w = (torch.stack([getattr(batch, part) for batch in batches], 2).to(like) for part in "xyw")
    epoch = torch.stack([batch.epoch for batch in batches], 2)
    whole = torch.full_like(epoch[0, :, 0], len(x), dtype=torch.int64)
    length = torch.stack([whole if batch.length is None else batch.length for batch in batches], -1)
    return Trials(x, y, w, epoch, length)
