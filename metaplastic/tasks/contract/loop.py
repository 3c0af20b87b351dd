"""The contract of the closed loop: `step` is pure, agrees bit for bit with the blocks, and a life ends for ever."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from metaplastic import rng
from metaplastic.core import Judgement, Task, TrialBatch
from metaplastic.tasks.base import Policy, Rollout, TensorTask, leaves, one_hot
from metaplastic.tasks.contract.blocks import LIVES, WHOLE_TRIALS

LIFE = {"each": (7, 5), "readout": (1, 1), "choice": (1, 1), "act": (1, 1), "control": (1, 1)}
"""trials of learning and test in the short lives of these checks, by the kind of response"""
LONGEST = 1500
"""steps after which a life in a closed loop is cut in these checks"""
AFTERWARDS = 50
"""steps after a life's end, in which nothing may come"""


def starts_well(task: Task) -> Iterator[str]:
    """`reset` shows what `observe` shows; `step` changes nothing in place."""
    if not isinstance(task, TensorTask):
        return
    state, first = task.reset(torch.arange(LIVES))
    if first.observation.shape != (LIVES, task.spec.observations):
        yield f"reset shows {tuple(first.observation.shape)}, wanted {(LIVES, task.spec.observations)}"
    if not torch.equal(first.observation, task.observe(state)):
        yield "observe(state) is not what reset showed"
    kept = leaves(state)
    copies = [leaf.clone() for leaf in kept]
    task.step(state, task.random_policy(torch.arange(LIVES))(state, first.observation))
    if not all(map(torch.equal, kept, copies)):
        yield "step changes its state in place"


def goes_on(task: Task) -> Iterator[str]:
    """A life that is written down in the middle and read back goes on with the same numbers."""
    if not isinstance(task, TensorTask):
        return
    lifetimes = torch.arange(LIVES)
    policy, (state, seen) = task.random_policy(lifetimes), task.reset(lifetimes)
    for _ in range(3):
        state, seen = task.step(state, policy(state, seen.observation))
    again, answer = pickle.loads(pickle.dumps(state)), policy(state, seen.observation)
    pair = (leaves(task.step(one, answer)) for one in (state, again))
    if not all(map(torch.equal, *pair)):
        yield "a state that was pickled and read back goes on with other numbers"


def lives_one_life(task: Task) -> Iterator[str]:
    """A whole life by `step` is that of `decisions`, or of `render` and `judge`; nothing comes after it."""
    if not isinstance(task, TensorTask):
        return
    trials, test_trials = LIFE[task.spec.response]
    try:
        short = type(task).model_validate({**task.model_dump(), "trials": trials, "test_trials": test_trials})
    except ValueError as why:
        yield f"it cannot have {trials} trials and {test_trials} test trials, wanted any numbers from 1 on: {why}"
        return
    policies = [short.random_policy(torch.arange(LIVES))]
    if short.spec.response == "choice":
        policies.append(_impulsive(short))
    for policy in policies:
        seen = _life(short, policy)
        if short.spec.response == "each":
            yield from _is_over(seen, short.lifetime_trials)
            yield from _loop_is_decisions(short, seen) if short.spec.open_loop else ()
        elif short.spec.response in WHOLE_TRIALS and short.spec.open_loop:
            yield from _loop_is_trials(short, seen)
        else:
            yield from _trials_end(short, seen)
            yield from _lives_alone(short, seen) if policy is policies[0] else ()


def _life(task: TensorTask, policy: Policy, lifetimes: Tensor | None = None) -> Rollout:
    """A whole life and what comes after it; in a closed loop cut at `LONGEST` steps."""
    steps = task.lifetime_trials * task.spec.trial_steps
    steps = (steps if task.spec.open_loop else min(steps, LONGEST)) + AFTERWARDS
    return task.rollout(policy, torch.arange(LIVES) if lifetimes is None else lifetimes, steps)


def _impulsive(task: TensorTask) -> Policy:
    """Answers at any time, so that early answers and omissions come too."""
    keys = rng.lifetime_keys(1, torch.arange(LIVES), rng.POLICY)

    def policy(state: Any, _: Tensor) -> Tensor:
        words = rng.words(rng.noise_keys(rng.trial_keys(keys, state.trial), state.step), 2)
        rate = 2.0 / task.spec.trial_steps
        return rng.below(words[..., 0], task.spec.actions) * (rng.uniform(words[..., 1]) < rate)

    return policy


def _trials_end(task: TensorTask, seen: Rollout) -> Iterator[str]:
    """As many trials end as the life has, and nothing comes afterwards."""
    if len(seen.reward) < task.lifetime_trials * task.spec.trial_steps:
        return  # cut: a longest life was not lived out
    ends = seen.info.trial_end.sum(0)
    if (ends != task.lifetime_trials).any():
        yield f"a life of {task.lifetime_trials} trials ends {ends.tolist()} trials by step"
        return
    steps = torch.arange(len(seen.reward))[:, None]
    yield from _is_over(seen, torch.where(seen.info.trial_end, steps, -1).amax(0) + 1)


def _lives_alone(task: TensorTask, seen: Rollout) -> Iterator[str]:
    """A lifetime of the random policy lives the same in other company and another order."""
    order = torch.tensor([5, 2, 6, 0, 3, 1, 4])
    for lanes in order.split(3):
        alone = _life(task, task.random_policy(lanes), lanes)
        if not all(torch.equal(a, b[:, lanes]) for a, b in zip(leaves(alone), leaves(seen), strict=True)):
            yield "a lifetime's numbers depend on which others are in the batch, or on their order"
            return


def _is_over(seen: Rollout, first: int | Tensor) -> Iterator[str]:
    """Complaints if something is shown, paid or counted from step `first` (one a lifetime, or of all) on."""
    after = torch.arange(len(seen.reward))[:, None] >= first
    if (seen.observation.any(-1) & after).any():
        yield "something is shown after a life's end"
    for what in (seen.reward, seen.info.trial_end, seen.info.score, seen.info.weight):
        if (what.bool() & after).any():
            yield "something is paid or counted after a life's end"


def _loop_is_decisions(task: TensorTask, seen: Rollout) -> Iterator[str]:
    count = task.lifetime_trials
    block = task.decisions(torch.arange(LIVES), 0, count)
    payoff = block.payoff.gather(-1, seen.action[:count, :, None]).squeeze(-1)
    yield from _differ(
        "decisions",
        observations=(seen.observation[:count], block.observation),
        rewards=(seen.reward[:count], payoff),
        scores=(seen.info.score[:count], task.score(payoff)),
        best=(seen.info.best[:count], block.best),
        kinds=(seen.info.kind[:count], block.kind),
    )


def _loop_is_trials(task: TensorTask, seen: Rollout) -> Iterator[str]:
    complaints = list(_trials_end(task, seen))
    if complaints:
        yield from complaints
        return
    steps = torch.arange(len(seen.reward))[:, None]
    last = torch.where(seen.info.trial_end, steps, -1).sort(0).values[-task.lifetime_trials :]  # [trial, L]
    first = torch.cat((torch.zeros_like(last[:1]), last[:-1] + 1))
    for trial in range(task.lifetime_trials):
        batch = task.render(torch.arange(LIVES), trial)
        output = torch.zeros_like(batch.y)
        for lane in range(LIVES):
            rows = slice(int(first[trial, lane]), int(last[trial, lane]) + 1)
            given = seen.action[rows, lane]
            output[: len(given), lane] = given if given.ndim > 1 else one_hot(given, task.spec.actions)
        verdict = task.judge(output, batch)
        for lane in range(LIVES):
            rows = slice(int(first[trial, lane]), int(last[trial, lane]) + 1)
            yield from _trial_agrees(task, seen, batch, verdict, rows, lane)


def _trial_agrees(
    task: TensorTask, seen: Rollout, batch: TrialBatch, verdict: Judgement, rows: slice, lane: int
) -> Iterator[str]:
    info, steps = seen.info, rows.stop - rows.start
    x, y, w, epoch = (field[:, lane] for field in batch[:4])
    yield from _differ(
        "render",
        observations=(seen.observation[rows, lane], x[:steps]),
        targets=(_outputs(task, info.target[rows, lane]), y[:steps]),
        weights=(info.weight[rows, lane], w[:steps]),
        epochs=(info.epoch[rows, lane], epoch[:steps]),
        kinds=(info.kind[rows, lane], batch.kind[lane].expand(steps)),
        scores=(info.score[rows, lane][-1], verdict.score[lane]),
    )
    paid = seen.reward[rows, lane].double().sum()
    if not torch.isclose(paid, verdict.reward[lane].double(), rtol=1e-5, atol=1e-5):
        yield f"the rewards of step sum to {paid:.6g} in a trial to which judge gives {verdict.reward[lane]:.6g}"
    length = len(x) if batch.length is None else int(batch.length[lane])
    if x[length:].any() or w[length:].any():
        yield "render shows or judges something after the trial's end"


def _outputs(task: Any, target: Tensor) -> Tensor:
    """Targets of a loop as outputs."""
    return task.outputs(target)


def _differ(block: str, **pairs: tuple[Tensor, Tensor]) -> Iterator[str]:
    yield from (f"{what} of step and {block} differ" for what, pair in pairs.items() if not torch.equal(*pair))
