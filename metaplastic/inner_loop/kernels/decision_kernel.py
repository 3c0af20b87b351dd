"""Lives of one-step decisions on the CPU, fused: `decision_life.py` as one compiled loop, a whole life at a time.

Each life is computed by itself, with its weights in cache, so its numbers are the same bits however the lives are
shared out over threads (`numba.set_num_threads`) or cut into batches. float32 only; of all that can be recorded, it
keeps the weights after learning.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from metaplastic.core import Record
from metaplastic.inner_loop.decision_life import LEARNED, by_group
from metaplastic.inner_loop.decision_plan import BLOCKS, Form, Plan
from metaplastic.inner_loop.formula.program import Place
from metaplastic.inner_loop.formula.to_numba import load
from metaplastic.inner_loop.kernels.decision_source import (
    argument_names,
    cost_numbers,
    critic_numbers,
    kernel_source,
    policy_numbers,
)

METRICS = ("score", "test_reward", "learning_reward", "regret", "activity")
"""the rows of the kernel's totals"""
SHARES = 4
"""pieces a thread: lives of different sizes take different times"""


@lru_cache(maxsize=256)
def kernel(form: Form) -> Callable[..., Any]:
    """The compiled lives of a form; kept on disk too."""
    return load(kernel_source(form), "lives")


def live_fused(plan: Plan, record: tuple[str, ...] = ()) -> Record:
    """All lives of a plan, as `live_decisions` gives them, to floating point; `record`: learned_weights or nothing."""
    individuals, lifetimes = len(plan.brains.units), plan.coins.shape[1]
    points = min(BLOCKS, plan.trials)
    totals = np.empty((len(METRICS), individuals, lifetimes))
    curve = np.zeros((individuals, lifetimes, points))
    kept = individuals if record else 0
    learned = [np.zeros((kept, lifetimes, *size), np.float32) for size in plan.brains.sizes]
    given = arguments(plan, totals, curve, learned)
    lives = kernel(plan.form)
    threads = numba.get_num_threads()
    ends = np.linspace(0, individuals * lifetimes, min(individuals * lifetimes, threads * SHARES) + 1).astype(int)
    if threads == 1:
        lives(0, individuals * lifetimes, *given)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda first, last: lives(first, last, *given), ends[:-1].tolist(), ends[1:].tolist()))
    done = _record(plan, torch.from_numpy(totals).float(), torch.from_numpy(curve).float())
    return done._replace(recordings=by_group(plan, LEARNED, map(torch.from_numpy, learned))) if record else done


def arguments(plan: Plan, totals: np.ndarray, curve: np.ndarray, learned: list[np.ndarray]) -> list[Any]:
    """What the kernel takes, in the order of `argument_names`."""
    form, brains = plan.form, plan.brains
    places = dict(form.places)
    named: dict[str, Any] = {
        **{name: _array(part) for name, part in plan.decisions._asdict().items()},
        "score": _array(plan.score),
        "coins": _array(plan.coins),
        "block": _array(plan.blocks),
        "trials": plan.trials,
        "quiet_trials": plan.quiet_trials,
        "units": _array(brains.units),
        "policy": _columns([plan.policy[name] for name in policy_numbers(form)], brains.units),
        "critic": _columns([plan.critic[name] for name in critic_numbers(form)], brains.units),
        "costs": _columns([plan.costs[index][name] for index, name in cost_numbers(form)], brains.units),
        "reward_weight": _array(plan.reward_weight),
        "totals": totals,
        "curve": curve,
        **{f"learned_{k}": weights for k, weights in enumerate(learned)},
    }
    for k, birth in enumerate(brains.weights):
        named |= {f"draw_{k}": _array(birth.draw), f"scale_{k}": _array(birth.scale)}
        named |= {f"rule_{name}_{k}": _placed(value, places[name]) for name, value in plan.parameters[k].items()}
    for k, birth in enumerate(brains.feedback, 1):
        named |= {f"carrier_draw_{k}": _array(birth.draw), f"carrier_scale_{k}": _array(birth.scale)}
    return [named[name] for name in argument_names(form)]


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.contiguous().numpy()


def _columns(columns: list[Tensor], units: Tensor) -> np.ndarray:
    """[P, numbers] in float32."""
    return _array(torch.stack(columns, 1)) if columns else np.zeros((len(units), 0), np.float32)


def _placed(value: Tensor, place: Place) -> np.ndarray:
    """A coefficient [P, post, pre] (or 1 for each) as the kernel reads it: [P], [P, post], [P, pre], [P, pre, post]."""
    axes = {"scalar": value[:, 0, 0], "post": value[:, :, 0], "pre": value[:, 0]}
    return _array(axes[place] if place != "synapse" else value.transpose(1, 2))


def _record(plan: Plan, totals: Tensor, curve: Tensor) -> Record:
    counts = torch.bincount(plan.blocks, minlength=curve.shape[-1])
    metrics: dict[str, Tensor] = dict(zip(METRICS, totals, strict=True))
    return Record(metrics.pop("score"), curve / counts, metrics, {})
