"""Matching: choices divided as the rewards are, and a history of rewards in activity (Wang et al. 2018, simulation 1).

    log2(C_1 / C_0) = slope log2(R_1 / R_0) + intercept                                                           (1)

C choices and R rewards of an episode. Arms are baited (`tasks/bandits/baited.py`), so the best is to divide one's
choices. An LSTM is trained with base probabilities from three intervals, and tested, weights fixed, on all of (0, .5):
what lies between was held out. The fit (1), weights of past rewards and choices (Lau & Glimcher 2005), and what units
code when the next choice is made: last action, last reward, their product, and the value. Shapes: S seeds, T trials,
E episodes, N units, L lags.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped

from metaplastic.inner_loop.gradient.actor_critic import A2C
from metaplastic.inner_loop.networks.gated import LSTM
from metaplastic.studies.analysis.behaviour import Kernels, Matching, history_kernels, matching
from metaplastic.studies.analysis.decoding import partial_correlations
from metaplastic.studies.analysis.rpe import discounted_returns, explained_variance
from metaplastic.studies.dopamine.blind import DEPARTURE, train_blind
from metaplastic.studies.dopamine.claims import checksum_row, row
from metaplastic.studies.dopamine.laboratory import Arrays, Trained, train_population
from metaplastic.studies.dopamine.matching_figure import draw
from metaplastic.studies.study import Claim, Result, Run, Study, mean_and_error
from metaplastic.tasks.bandits.baited import INTERVALS, BaitedBandit

TRIALS = 100
UPDATES, BATCH = 8000, 32
EPISODES = 500
"""test episodes of every seed"""
LAGS, RIDGE = 15, 1.0
NAMES = ("action", "reward", "value", "hidden")
VARIABLES = ("last action", "last reward", "action × reward", "value")


class Seen(NamedTuple):
    """What one seed did."""

    action: Int[np.ndarray, "T E"]
    reward: Float[np.ndarray, "T E"]
    value: Float[np.ndarray, "T E"]
    hidden: Float[np.ndarray, "T E N"]
    p: Float[np.ndarray, " E"]
    """base probability of arm 1"""


class Found(NamedTuple):
    """What the analysis says of one seed."""

    reward: float
    """a trial"""
    all: Matching
    held_in: Matching
    held_out: Matching
    kernels: Kernels
    coding: Float[np.ndarray, "N 4"]
    """partial correlations of units with `VARIABLES`"""
    critic: float
    """share of the variance of returns that V explains"""


class Control(NamedTuple):
    """What a control did; one number a seed."""

    follows: list[float]
    """slope of the share of choices of arm 1 on its base probability"""
    memory: list[float]
    """mean |weight| of rewards 2 to 6 trials ago"""


class Reference(NamedTuple):
    """Who knows p."""

    reward: float
    matching: Matching


def seen_of(arrays: Arrays, seed: int) -> Seen:
    """One seed of a recording."""
    action, reward, value, hidden = (arrays[name][:, seed] for name in NAMES)
    return Seen(action, reward, value, hidden, arrays["latent.life.second"][0, seed])


def is_held_out(p: Float[np.ndarray, " E"]) -> Bool[np.ndarray, " E"]:
    """In an interval that no training episode was drawn from."""
    return np.any([(p >= start) & (p < start + 0.1) for start in INTERVALS["gap"]], axis=0)


def analyse(seen: Seen, gamma: float) -> Found:
    """Matching, history and units of one seed."""
    out = is_held_out(seen.p)
    return Found(
        float(seen.reward.mean()),
        matching(seen.action, seen.reward),
        matching(seen.action[:, ~out], seen.reward[:, ~out]),
        matching(seen.action[:, out], seen.reward[:, out]),
        history_kernels(seen.action, seen.reward, LAGS, RIDGE),
        unit_coding(seen),
        explained_variance(seen.value, discounted_returns(seen.reward, gamma)),
    )


def unit_coding(seen: Seen) -> Float[np.ndarray, "N 4"]:
    """(1) of `decoding.py` for the state that the next choice is made from; constant variables give 0."""
    action, reward = 2.0 * seen.action[:-1] - 1, seen.reward[:-1]
    variables = np.stack((action, reward, action * reward, seen.value[1:]), -1)
    return partial_correlations(seen.hidden[1:], variables)


def follows(action: Int[np.ndarray, "T E"], p: Shaped[np.ndarray, " E"]) -> float:
    """How the share of choices of arm 1 rises with its base probability."""
    return float(np.polyfit(p, action.mean(0), 1)[0])


def control(arrays: Arrays) -> Control:
    """Of a population that cannot learn within an episode."""
    found = Control([], [])
    for seed in range(arrays["action"].shape[1]):
        action, reward = (arrays[name][:, seed] for name in ("action", "reward"))
        kernel = history_kernels(action, reward, LAGS, RIDGE).reward
        found.follows.append(follows(action, arrays["latent.life.second"][0, seed]))
        found.memory.append(float(np.abs(kernel[1:6]).mean()))
    return found


def reference(task: BaitedBandit, episodes: int) -> Reference:
    """Who knows p, and chooses the richer arm m times and then the other."""
    lived = task.rollout(task.oracle_policy(), torch.arange(episodes), TRIALS)
    action, reward = lived.action.numpy(), lived.reward.double().numpy()
    return Reference(float(reward.mean()), matching(action, reward))


def controls_of(run: Run, trained: Trained, rule: A2C, test: BaitedBandit, episodes: int) -> dict[str, Control]:
    """Train the blind, reset the trained, and ask the newborn."""
    blind = train_blind(run, trained, rule)
    names = ("action", "reward")
    return {
        "reward withheld, retrained": control(blind.record(episodes, names, task=test)),
        "state reset": control(trained.record(episodes, names, task=test, forget=True)),
        "untrained": control(trained.untrained().record(episodes, names, task=test)),
    }


class MatchingStudy(Study):
    """Simulation 1."""

    name: ClassVar[str] = "matching"
    title: ClassVar[str] = "Matching: choices divided as rewards are"
    question: ClassVar[str] = (
        "Monkeys divide their choices between two baited targets in the ratio of what these paid, and prefrontal "
        "neurons carry the last action, the last reward and the value. Does a network that was trained by reward do "
        "so too, also for probabilities that it never met?"
    )
    method: ClassVar[str] = (
        f"An LSTM with 48 units is trained by advantage actor-critic on {UPDATES} × {BATCH} episodes of {TRIALS} "
        "trials, base probabilities from (0, .1), (.2, .3) and (.4, .5). Weights are then fixed; base probabilities "
        f"are drawn from all of (0, .5) in {EPISODES} test episodes. Matching: a line through the logarithms of ratios "
        "of choices and of rewards, an episode a point. History: a logistic regression of the choice on rewards and "
        "choices of 15 trials. Units: partial correlation of the state from which the choice is made with the last "
        "action, the last reward, their product and the value, the other three partialled out."
    )
    departures: ClassVar[Sequence[str]] = (
        "No fixation step; all episodes have 100 trials, in training too.",
        "Formula and intervals of the task are those of two re-implementations, recalled, not read in the paper.",
        "Adam with a falling rate, 32 episodes side by side, entropy that falls to 0.",
        DEPARTURE,
    )
    references: ClassVar[Sequence[str]] = BaitedBandit.references
    minutes: ClassVar[float | None] = 34

    def run(self, run: Run) -> Result:
        """Train, freeze, record, compare."""
        train, test = (BaitedBandit(trials=TRIALS, base=base, feedback=False) for base in ("published", "whole"))
        rule = A2C(updates=UPDATES, batch=BATCH)
        trained = train_population(run, "agents", LSTM(), rule, train)
        episodes = 100 if run.scale == "quick" else EPISODES
        before = trained.agents.checksum()
        arrays = trained.record(episodes, NAMES, task=test)
        seeds = [seen_of(arrays, seed) for seed in range(run.seeds)]
        found = [analyse(seen, trained.discount) for seen in seeds]
        own = [follows(seen.action, seen.p) for seen in seeds]
        controls = controls_of(run, trained, rule, test, episodes)
        known = reference(test, episodes)
        rows = claims(found, own, controls, known, test, is_unchanged=trained.agents.checksum() == before)
        drawings = draw(found, is_held_out(seeds[0].p), trained.history, test)
        return Result(rows, drawings, numbers(found, own, controls, known))


def claims(
    found: list[Found],
    own: list[float],
    controls: dict[str, Control],
    known: Reference,
    test: BaitedBandit,
    *,
    is_unchanged: bool,
) -> list[Claim]:
    """The table."""
    chance, ceiling = test.spec.chance, test.spec.ceiling
    gaps = [one.held_out.slope - one.held_in.slope for one in found]
    coding = np.array([np.abs(one.coding).mean(0) for one in found])
    lags = np.array([one.kernels.reward for one in found])
    rewards = f"≥ .43 (random {chance:.3f}, who knows p {ceiling:.3f})"
    text = f"reward {known.reward:.3f}, slope {known.matching.slope:.2f}"
    table = [
        row("reward a trial", rewards, "proposed", [one.reward for one in found], lambda x: x >= 0.43),
        row("matching: slope", ".6 to 1", "proposed", [one.all.slope for one in found], lambda x: 0.6 <= x <= 1),
        row("matching: r", "≥ .9", "proposed", [one.all.r for one in found], lambda x: x >= 0.9),
        row("slope held out - held in", "within ± .1", "our bound", gaps, lambda x: abs(x) <= 0.1),
        row(
            "least weight of rewards, lags 1 to 6",
            "> 0",
            "our bound",
            lags[:, :6].min(1).tolist(),
            lambda x: x > 0,
        ),
        row(
            "weight of rewards, lag 3 - lag 10",
            "> 0",
            "our bound",
            (lags[:, 2] - lags[:, 9]).tolist(),
            lambda x: x > 0,
        ),
        row("weight of the last choice", "< 0", "proposed", [one.kernels.choice[0] for one in found], lambda x: x < 0),
        *(
            row(f"mean |partial r| of units: {name}", "≥ .2", "proposed", coding[:, k].tolist(), lambda x: x >= 0.2)
            for k, name in enumerate(VARIABLES)
            if k != 2
        ),
        Claim("mean |partial r|: action × reward", "–", "proposed", mean_and_error(coding[:, 2].tolist()), None),
        Claim("variance of returns that V explains", "–", "proposed", mean_and_error([f.critic for f in found]), None),
        Claim("who knows p", "–", "derived", text, None),
        row("share of choices rises with p", "≥ .5", "proposed", own, lambda x: x >= 0.5),
    ]
    for name in ("reward withheld, retrained", "untrained"):
        table.append(row(f"the same, {name}", "0 ± .1", "derived", controls[name].follows, lambda x: abs(x) <= 0.1))
    table.append(
        row(
            "mean |weight| of lags 2 to 6, state reset",
            "0 ± .1",
            "derived",
            controls["state reset"].memory,
            lambda x: x <= 0.1,
        )
    )
    return [*table, checksum_row(is_unchanged)]


def numbers(found: list[Found], own: list[float], controls: dict[str, Control], known: Reference) -> dict[str, object]:
    """Everything behind the table, for result.json."""
    return {
        "seeds": [
            {
                "reward": one.reward,
                "slopes": {name: getattr(one, name).slope for name in ("all", "held_in", "held_out")},
                "r": one.all.r,
                "reward_kernel": one.kernels.reward.tolist(),
                "choice_kernel": one.kernels.choice.tolist(),
                "partial_r": np.abs(one.coding).mean(0).tolist(),
                "critic": one.critic,
                "follows": rises,
            }
            for one, rises in zip(found, own, strict=True)
        ],
        "controls": {name: one._asdict() for name, one in controls.items()},
        "knows_p": {"reward": known.reward, "slope": known.matching.slope, "r": known.matching.r},
    }
