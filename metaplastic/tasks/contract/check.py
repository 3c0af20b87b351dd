"""What every task must keep, as a function to hold one's own task against: `check_task(MyTask())`.

A task that passes can be searched with: it is described truly, its numbers depend on (seed, lifetime, trial) alone,
blocks and closed loop agree bit for bit, an oracle reaches its ceiling, a random policy its chance level.
Each check yields its complaints, one line each; nothing in them is random from run to run.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterator

from metaplastic.core import Task
from metaplastic.tasks.contract import blocks as contract_blocks
from metaplastic.tasks.contract import loop as contract_loop
from metaplastic.tasks.contract import scores as contract_scores
from metaplastic.tasks.contract import trials as contract_trials


class ContractError(AssertionError):
    """One line: what a task promises and does not keep."""


def check_task(task: Task) -> None:
    """Hold a task to the contract.

    Raises:
        ContractError: the first promise it breaks, in one line.
    """
    if not getattr(task, "pure", True):
        raise ContractError(f"{task.kind}: it runs outside of tensors; the contract is about tasks made of tensors")
    for check in CHECKS:
        for complaint in check(task):
            raise ContractError(f"{task.kind}: {complaint}")


def describes_itself(task: Task) -> Iterator[str]:
    """The spec is possible: channels tile the observation, chance < criterion <= ceiling."""
    spec = task.spec
    if spec.id != task.kind:
        yield f"spec.id is {spec.id!r}, wanted its kind {task.kind!r}"
    ends = sorted(spec.channels.values())
    joined = [0, *(end for _, end in ends)]
    if [first for first, _ in ends] != joined[:-1] or joined[-1] != spec.observations:
        yield f"spec.channels {spec.channels} do not tile its {spec.observations} observations without gap or overlap"
    if not 0 <= spec.chance < spec.criterion <= spec.ceiling <= 1:
        yield (
            f"chance {spec.chance:.4g}, criterion {spec.criterion:.4g} and ceiling {spec.ceiling:.4g} of the spec are "
            "not in this order within [0, 1]"
        )
    if spec.actions < 1 or spec.trial_types < 1 or spec.trial_steps < 1 or spec.dt <= 0:
        yield "actions, trial_types, trial_steps and dt of the spec must all be above 0"
    oracle = spec.ceiling if spec.oracle is None else spec.oracle
    if not spec.ceiling <= oracle <= 1:
        yield f"oracle {oracle:.4g} of the spec is not in [ceiling, 1]: an ideal observer knows no more than it"
    if spec.response == "each" and spec.trial_steps != 1:
        yield f"response is 'each' with trial_steps {spec.trial_steps}, wanted 1"


def is_a_plain_value(task: Task) -> Iterator[str]:
    """It is written and read back exactly, pickled small, and compared by its settings."""
    if type(task).model_validate(task.model_dump()) != task:
        yield "model_validate(model_dump()) gives another task"
    if type(task).model_validate_json(task.model_dump_json()) != task:
        yield "it does not survive JSON"
    try:
        json.dumps(task.spec._asdict(), allow_nan=False)
    except (TypeError, ValueError) as why:
        yield f"its spec cannot be written as JSON: {why}"
    if task.held_out().spec != task.spec:
        yield "held_out() has another spec"
    try:
        pickled = pickle.dumps(task)  # after spec was made: whatever it keeps counts
    except (pickle.PicklingError, AttributeError, TypeError) as why:
        yield f"it cannot be pickled, so no other process can live it: {why}"
        return
    if len(pickled) > 10_000:
        yield f"its pickle has {len(pickled)} bytes, wanted fewer than 10 000: keep tables outside of the task"
    if pickle.loads(pickled) != task:
        yield "it does not survive pickling"


CHECKS: tuple[Callable[[Task], Iterator[str]], ...] = (
    describes_itself,
    is_a_plain_value,
    contract_blocks.blocks_have_their_shape,
    contract_blocks.draws_by_key_alone,
    contract_blocks.splits_by_trials,
    contract_loop.starts_well,
    contract_loop.goes_on,
    contract_loop.lives_one_life,
    contract_scores.random_earns_chance,
    contract_scores.oracle_earns_ceiling,
    contract_trials.signals_when_to_answer,
    contract_trials.nothing_beats_the_oracle,
    contract_trials.keeps_time,
    contract_trials.noise_has_its_size,
)
"""every promise, in the order they are checked"""
