"""Volatility: activity learns faster where the world changes more often (Wang et al. 2018, simulation 2).

    alpha* = argmax_alpha corr( V_alpha(t), ln pi_0(t) / pi_1(t) )                                                (1)

V_alpha is the lead of arm 0 in a Rescorla-Wagner learner with the rate alpha that lives the agent's choices and rewards
(`analysis/fitting.py`). An LSTM is trained on two arms of .8 and .2 whose places change seldom in one half of the
episodes and often in the other, which it is not told. With weights fixed (1) is the learning rate of its activity: it
should be higher where the world is volatile (Behrens et al. 2007), and the units should tell the volatility.
Shapes: S seeds, T trials, E episodes, N units.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped

from metaplastic import rng
from metaplastic.inner_loop.gradient.actor_critic import A2C
from metaplastic.inner_loop.networks.gated import LSTM
from metaplastic.studies.analysis.decoding import coding, decode
from metaplastic.studies.analysis.fitting import PolicyRate, policy_learning_rate
from metaplastic.studies.dopamine.blind import DEPARTURE, train_blind
from metaplastic.studies.dopamine.claims import checksum_row, row
from metaplastic.studies.dopamine.laboratory import Arrays, Trained, train_population
from metaplastic.studies.dopamine.volatility_figure import draw
from metaplastic.studies.study import Claim, Result, Run, Study, mean_and_error
from metaplastic.tasks.bandits.volatile import VolatileBandit

TRIALS = 150
UPDATES, BATCH = 5000, 32
EPISODES = 400
"""test episodes of every seed, half of them volatile"""
FIRST = 50
"""trials before (1) is measured and volatility is decoded: it must be found out first"""
EVERY = 10
"""trials between two samples of the units"""
LEAST_R = 0.5
"""correlation of value and log odds below which (1) is the rate of nothing"""
LEVEL, PERMUTATIONS = 0.01, 200
NAMES = ("action", "reward", "logits", "value", "hidden")


class Seen(NamedTuple):
    """What one seed did."""

    action: Int[np.ndarray, "T E"]
    reward: Float[np.ndarray, "T E"]
    lead: Float[np.ndarray, "T E"]
    """ln pi_0 / pi_1"""
    value: Float[np.ndarray, "T E"]
    hidden: Float[np.ndarray, "T E N"]
    good: Int[np.ndarray, "T E"]
    """the better arm"""
    is_volatile: Bool[np.ndarray, " E"]


class Found(NamedTuple):
    """What the analysis says of one seed."""

    reward: float
    """a trial"""
    stable: PolicyRate
    volatile: PolicyRate
    decoded: float
    """balanced accuracy of the volatility from units and their squares, in episodes that were held out"""
    fraction: float
    """of units that follow the volatility once value and lead are partialled out"""
    switching: Float[np.ndarray, "2 W"]
    """P(better arm) from 5 trials before a change to 15 after it, in stable and in volatile episodes"""

    @property
    def ratio(self) -> float:
        """Learning rate in volatile episodes by that in stable ones; 1 where the policy follows no learner."""
        if min(self.stable.r, self.volatile.r) < LEAST_R:
            return 1.0
        return self.volatile.alpha / self.stable.alpha


def volatile_lives(task: VolatileBandit, arrays: Arrays) -> Bool[np.ndarray, " E"]:
    """Which episodes of a recording are volatile; all seeds live the same ones."""
    life = torch.from_numpy(arrays["latent.key"][0, 0])
    return task.volatile_parts(rng.parameter_keys(life))[:, 0].numpy()


def seen_of(arrays: Arrays, seed: int, is_volatile: Bool[np.ndarray, " E"]) -> Seen:
    """One seed of a recording."""
    action, reward, logits, value, hidden = (arrays[name][:, seed] for name in NAMES)
    good = arrays["latent.now.target"][:, seed]
    return Seen(action, reward, logits[..., 0] - logits[..., 1], value, hidden, good, is_volatile)


def analyse(seen: Seen, permutations: int = PERMUTATIONS) -> Found:
    """Learning rates and units of one seed."""
    groups = (~seen.is_volatile, seen.is_volatile)
    stable, volatile = (
        policy_learning_rate(seen.action[:, g], seen.reward[:, g], seen.lead[:, g], first=FIRST) for g in groups
    )
    step = slice(FIRST, None, EVERY)
    units = seen.hidden[step].astype(np.float64)
    target = np.broadcast_to(seen.is_volatile.astype(float), units.shape[:2])
    squares = np.concatenate((units, np.square(units)), -1)
    controls = np.stack((seen.value[step], seen.lead[step]), -1)
    return Found(
        float(seen.reward.mean()),
        stable,
        volatile,
        decode(squares, target).score,
        coding(units, target, controls, permutations, LEVEL).fraction,
        np.stack([around_changes(seen.action[:, g] == seen.good[:, g], seen.good[:, g]) for g in groups]),
    )


def around_changes(
    is_better: Bool[np.ndarray, "T E"], good: Shaped[np.ndarray, "T E"], before: int = 5, after: int = 15
) -> Float[np.ndarray, " W"]:
    """P(better arm) around changes that have no other within the window; NaN if there is none."""
    changes = np.zeros(good.shape, dtype=bool)
    changes[1:] = good[1:] != good[:-1]
    rows = []
    for trial, episode in np.argwhere(changes):
        first, end = trial - before, trial + after + 1
        if first >= 0 and end <= len(good) and changes[first:end, episode].sum() == 1:
            rows.append(is_better[first:end, episode])
    return np.mean(rows, 0) if rows else np.full(before + after + 1, np.nan)


def controls_of(run: Run, trained: Trained, rule: A2C, episodes: int) -> dict[str, list[float]]:
    """Reward a trial, one a seed: train the blind, reset the trained, ask the newborn."""
    blind = train_blind(run, trained, rule)
    lived = {
        "reward withheld, retrained": blind.record(episodes, ("reward",)),
        "state reset": trained.record(episodes, ("reward",), forget=True),
        "untrained": trained.untrained().record(episodes, ("reward",)),
    }
    return {name: arrays["reward"].mean((0, 2)).tolist() for name, arrays in lived.items()}


class VolatilityStudy(Study):
    """Simulation 2."""

    name: ClassVar[str] = "volatility"
    title: ClassVar[str] = "Volatility: the learning rate of activity follows the world"
    question: ClassVar[str] = (
        "People learn faster while the world is volatile. Does a network whose weights are fixed change the rate at "
        "which its activity learns, and do its units tell the volatility?"
    )
    method: ClassVar[str] = (
        f"An LSTM with 48 units is trained by advantage actor-critic on {UPDATES} × {BATCH} episodes of {TRIALS} "
        "trials with two arms of .8 and .2. The places change with hazard .005 in one half of the episodes and .1 in "
        "the other, which is hidden. Weights are then fixed. The learning rate is that of the Rescorla-Wagner learner "
        "whose value follows the policy's log odds best, in trials from the 50th on. Volatility is decoded from units "
        "and their squares across episodes; a unit follows it if its partial correlation, value and log odds "
        f"partialled out, is beyond what episodes with each other's volatility give (p < {LEVEL})."
    )
    departures: ClassVar[Sequence[str]] = (
        "Volatility differs between episodes; in the paper it changes within one, at its middle.",
        "The learning rate is read from the policy, not fitted to choices: nearly determined choices tell little.",
        "Entropy is weighted .05 throughout, so that the policy stays graded.",
        "Adam with a rate that falls from 2e-3 to 0 over 160 000 episodes; the paper has 5e-5.",
        DEPARTURE,
    )
    references: ClassVar[Sequence[str]] = VolatileBandit.references
    minutes: ClassVar[float | None] = 19

    def run(self, run: Run) -> Result:
        """Train, freeze, record, compare."""
        task = volatile_bandit()
        rule = A2C(updates=UPDATES, batch=BATCH, entropy_end=1.0)
        trained = train_population(run, "agents", LSTM(), rule, task)
        episodes = 60 if run.scale == "quick" else EPISODES
        before = trained.agents.checksum()
        arrays = trained.record(episodes, NAMES)
        is_volatile = volatile_lives(task, arrays)
        seeds = [seen_of(arrays, seed, is_volatile) for seed in range(run.seeds)]
        found = [analyse(seen) for seen in seeds]
        controls = controls_of(run, trained, rule, episodes)
        rows = claims(found, controls, task, is_unchanged=trained.agents.checksum() == before)
        return Result(rows, draw(found, seeds[0], trained.history, task), numbers(found, controls))


def volatile_bandit() -> VolatileBandit:
    """The preset `life`: a whole episode is stable or volatile."""
    settings = dict(VolatileBandit.presets["life"]) | {"trials": TRIALS - 1, "test_trials": 1}
    return VolatileBandit.model_validate(settings)


def claims(
    found: list[Found], controls: dict[str, list[float]], task: VolatileBandit, *, is_unchanged: bool
) -> list[Claim]:
    """The table."""
    ratios = [one.ratio for one in found]
    ideal = f"≥ .69 (ideal observer {task.spec.ceiling:.3f})"
    table = [
        row("reward a trial", ideal, "proposed", [one.reward for one in found], lambda x: x >= 0.69),
        row("learning rate, volatile by stable", "> 1", "our bound", ratios, lambda x: x > 1, 0.875),
        Claim("its median", "≥ 1.3", "proposed", f"{np.median(ratios):.2f}", bool(np.median(ratios) >= 1.3)),
        *(
            Claim(
                f"learning rate, {name}",
                "–",
                "proposed",
                mean_and_error([getattr(f, name).alpha for f in found]),
                None,
            )
            for name in ("stable", "volatile")
        ),
        row(
            "correlation of value and log odds",
            "≥ .9",
            "proposed",
            [min(one.stable.r, one.volatile.r) for one in found],
            lambda x: x >= 0.9,
        ),
        row("volatility decoded (chance .5)", "≥ .65", "proposed", [one.decoded for one in found], lambda x: x >= 0.65),
        Claim(
            "units that follow volatility",
            "37 ± 1 %",
            "published",
            mean_and_error([100 * one.fraction for one in found], 0) + " %",
            None,
        ),
    ]
    for name in ("reward withheld, retrained", "untrained"):
        table.append(
            row(f"reward a trial, {name}", ".5 ± .03", "derived", controls[name], lambda x: abs(x - 0.5) <= 0.03)
        )
    lost = (np.array([one.reward for one in found]) - controls["state reset"]).tolist()
    table.append(row("reward a trial lost if the state is reset", "> 0", "proposed", lost, lambda x: x > 0))
    return [*table, checksum_row(is_unchanged)]


def numbers(found: list[Found], controls: dict[str, list[float]]) -> dict[str, object]:
    """Everything behind the table, for result.json."""
    names = ("stable", "volatile")
    return {
        "seeds": [
            {
                "reward": one.reward,
                "alpha": {name: getattr(one, name).alpha for name in names},
                "r": {name: getattr(one, name).r for name in names},
                "decoded": one.decoded,
                "fraction": one.fraction,
                "switching": one.switching.tolist(),
            }
            for one in found
        ],
        "controls": controls,
    }
