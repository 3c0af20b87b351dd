"""Errors that know what was not seen: values inferred within a trial (Wang et al. 2018, simulation 3; their Fig. 4).

    delta at the cue = gamma V(target) - V(fixation)                                                              (1)

One of two targets pays; which one changes. A critic that stores a value for each cue (tabular TD(0)) must see a target
again before its (1) follows. Monkeys' dopamine cells need not (Bromberg-Martin et al. 2010), nor does an LSTM that
model-free errors have trained: on the trial after a reversal its (1) has the new sign for both targets,

    experienced  the target that was shown in the reversal trial
    inferred     the other one

The choice is forced, so the policy gains nothing by knowing: only the critic's loss teaches it. Shapes: T trials,
E episodes, N units.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from metaplastic.inner_loop.agents.interventions import Intervention
from metaplastic.inner_loop.gradient.actor_critic import A2C
from metaplastic.inner_loop.networks.gated import LSTM
from metaplastic.studies.analysis.decoding import decode, trajectories
from metaplastic.studies.analysis.events import nan_mean
from metaplastic.studies.analysis.learners import QLearning, Recorded, followed
from metaplastic.studies.dopamine.blind import DEPARTURE, train_blind
from metaplastic.studies.dopamine.claims import Bounded, checksum_row, together
from metaplastic.studies.dopamine.inferred_value_figure import draw
from metaplastic.studies.dopamine.laboratory import Arrays, Trained, train_population
from metaplastic.studies.study import Claim, Result, Run, Study
from metaplastic.tasks.bandits.inferred_value import InferredValue

UPDATES, BATCH = 9000, 32
EPISODES = 300
"""test episodes of every seed"""
FIRST, LAST = 3, 5
"""trials at both ends that are left out: nothing is known at the start, and V knows that the end is near"""
TD_RATE = 0.5
"""alpha of the tabular critic"""
NAMES = ("action", "reward", "value", "rpe", "hidden", "score")


class Signals(NamedTuple):
    """Mean errors of one critic; at the cue for a target that pays now (+) and one that does not (-)."""

    stable: tuple[float, float]
    """neither this trial nor the last one followed a change"""
    experienced: tuple[float, float]
    inferred: tuple[float, float]
    outcome_stable: float
    """mean |error| at the outcome"""
    outcome_reversal: float
    """in the trial of a reversal"""


class Trials(NamedTuple):
    """What one seed saw, by trial [T, E]."""

    target: Int[np.ndarray, "T E"]
    rewarded: Int[np.ndarray, "T E"]
    """the target that pays, 1 or 2"""
    cue: Float[np.ndarray, "T E"]
    """error at the cue's onset"""
    outcome: Float[np.ndarray, "T E"]
    reward: Float[np.ndarray, "T E"]

    @property
    def reversal(self) -> Bool[np.ndarray, "T E"]:
        """The first trial of a new rewarded side."""
        found = np.zeros(self.rewarded.shape, dtype=bool)
        found[1:] = self.rewarded[1:] != self.rewarded[:-1]
        return found

    @property
    def kept(self) -> Bool[np.ndarray, "T E"]:
        """Neither among the first nor the last trials."""
        trial = np.arange(len(self.target))
        inside = (trial >= FIRST) & (trial < len(trial) - LAST)
        return np.broadcast_to(inside[:, None], self.target.shape)


def trials_of(arrays: Arrays, seed: int) -> Trials:
    """Trials of one seed; delta of the fixation step is that of the cue's onset."""
    rpe, world = arrays["rpe"][:, seed], "latent.world."
    target, rewarded = (arrays[world + name][::2, seed] for name in ("target", "rewarded"))
    return Trials(target, rewarded, rpe[::2], rpe[1::2], arrays["reward"][1::2, seed])


def signals(trials: Trials) -> Signals:
    """Means by what came before."""
    reversal, kept = trials.reversal, trials.kept
    after = _later(reversal, fill=False)
    same = trials.target == _later(trials.target, fill=0)
    pays = trials.target == trials.rewarded
    stable = kept & ~reversal & ~after

    def signed(where: Bool[np.ndarray, "T E"]) -> tuple[float, float]:
        plus, minus = (float(nan_mean(trials.cue[where & at])) for at in (pays, ~pays))
        return plus, minus

    size = np.abs(trials.outcome)
    return Signals(
        signed(stable),
        signed(kept & after & same),
        signed(kept & after & ~same),
        float(nan_mean(size[stable])),
        float(nan_mean(size[kept & reversal])),
    )


def contrast(pair: tuple[float, float]) -> float:
    """Half the difference: above 0 if the sign is that of what pays now."""
    return (pair[0] - pair[1]) / 2


def tabular(trials: Trials, gamma: float) -> Signals:
    """The errors of TD(0) with one value for each cue, in the same trials."""
    count, episodes = trials.target.shape
    place = np.zeros((2 * count, episodes), dtype=np.int64)
    place[1::2] = trials.target
    after = np.concatenate((place[1:], np.full((1, episodes), -1)))
    reward = np.zeros(place.shape)
    reward[1::2] = trials.reward
    lived = Recorded(np.zeros_like(place), reward, place, after=after)
    delta = followed(QLearning(3, 1), lived, {"alpha": TD_RATE, "gamma": gamma, "beta": 1.0})["delta"]
    return signals(trials._replace(cue=delta[::2], outcome=delta[1::2]))


class Coded(NamedTuple):
    """How the state h at fixation codes the side that paid in the last trial; shares of trials in which it is right."""

    plane: float
    """decoded from two principal components, after each target by itself, balanced"""
    units: float
    """from all units, whatever the target was: the exclusive-or of target and reward, linearly"""
    reversal: float
    """from the plane, in trials of a reversal: the old side"""
    after: float
    """from the plane, in the trials after: the new one"""


def coded(hidden: Float[np.ndarray, "T E N"], trials: Trials) -> Coded:
    """Linear decoders of the side, episodes held out; `hidden` is h at fixation."""
    known = np.where(trials.kept, _later(trials.rewarded, fill=0) == 2, np.nan)
    plane = trajectories(hidden[FIRST:], np.zeros(hidden.shape[1], dtype=np.int64)).project(hidden)
    score, predicted = _by_last_target(plane, known, _later(trials.target, fill=0))
    is_right = np.where(np.isfinite(predicted), predicted == known, np.nan)
    after = _later(trials.reversal, fill=False)
    few = slice(0, min(100, hidden.shape[1]))
    return Coded(
        score,
        decode(hidden[:, few], known[:, few]).score,
        float(nan_mean(is_right[trials.kept & trials.reversal])),
        float(nan_mean(is_right[trials.kept & after])),
    )


def _by_last_target(
    plane: Float[np.ndarray, "T E 2"], side: Float[np.ndarray, "T E"], last: Int[np.ndarray, "T E"]
) -> tuple[float, Float[np.ndarray, "T E"]]:
    """One decoder after each target, for the target itself is the largest component; mean score, and what they say."""
    found = [decode(plane, np.where(last == target, side, np.nan)) for target in (1, 2)]
    predicted = np.where(last == 1, found[0].predicted, found[1].predicted)
    return float(np.mean([one.score for one in found])), predicted


def _later(values: np.ndarray, *, fill: int) -> np.ndarray:
    """Of the trial before; `fill` in the first."""
    return np.concatenate((np.full_like(values[:1], fill), values[:-1]))


class Found(NamedTuple):
    """What the analysis says of one seed."""

    score: float
    """share of trials with both answers right"""
    agent: Signals
    tabular: Signals
    coded: Coded


class Controls(NamedTuple):
    """Contrast at the cue in stable trials, one a seed."""

    blind: list[float]
    """retrained with the reward withheld"""
    forgetful: list[float]
    """the trained agents, state reset at every trial and the reward withheld"""
    reset: list[float]
    """state reset at every trial, the reward still told: it is all that is needed to infer"""
    untrained: list[float]


def controls_of(run: Run, trained: Trained, rule: A2C, episodes: int) -> Controls:
    """Train the blind, reset the trained, and ask the newborn."""
    blind = train_blind(run, trained, rule)
    names, deaf = ("reward", "rpe"), (Intervention("reward", "silence"),)
    found = (
        blind.record(episodes, names),
        trained.record(episodes, names, forget=True, changes=deaf),
        trained.record(episodes, names, forget=True),
        trained.untrained().record(episodes, names),
    )
    stable = [
        [contrast(signals(trials_of(arrays, seed)).stable) for seed in range(arrays["rpe"].shape[1])]
        for arrays in found
    ]
    return Controls(stable[0], stable[1], stable[2], stable[3])


class InferredValueStudy(Study):
    """Simulation 3."""

    name: ClassVar[str] = "inferred-value"
    title: ClassVar[str] = "Inferred value: prediction errors that follow what was not seen"
    question: ClassVar[str] = (
        "When one of two targets stops to pay, dopamine cells respond to the other one as to one that pays, before it "
        "was seen again. Does a recurrent network that model-free errors have trained infer values like this?"
    )
    method: ClassVar[str] = (
        "Fixation, one target left or right, a forced saccade, reward if its side is the rewarded one; the side "
        "changes with hazard .05. An LSTM with 48 units is trained by advantage actor-critic on "
        f"{UPDATES} × {BATCH} episodes of 40 trials, then fixed. The error at the cue's onset is compared between "
        "stable trials and the trial after a reversal, for the target of the reversal trial (experienced) and the "
        "other one (inferred), and with a tabular TD(0) critic in the same trials. Two principal components of h at "
        "fixation are asked for the side that paid last, after each target by itself; all units, whatever it was."
    )
    departures: ClassVar[Sequence[str]] = (
        "Hazard, length of an episode and the least distance of reversals are ours: the paper's text has none.",
        "The weight of the critic's loss is .5 (the paper's is .05), the rate 3e-3, the clip 5: the policy gains "
        "nothing here by knowing the side, and with .05 the critic stays at the mean.",
        "Adam with a falling rate and 32 episodes side by side, entropy that falls to 0.",
        DEPARTURE,
    )
    references: ClassVar[Sequence[str]] = InferredValue.references
    minutes: ClassVar[float | None] = 39

    def run(self, run: Run) -> Result:
        """Train, freeze, record, compare."""
        task = InferredValue()
        rule = A2C(updates=UPDATES, batch=BATCH, learning_rate=3e-3, value_weight=0.5, clip=5.0)
        trained = train_population(run, "agents", LSTM(), rule, task)
        episodes = 60 if run.scale == "quick" else EPISODES
        before = trained.agents.checksum()
        arrays = trained.record(episodes, NAMES)
        seeds = [trials_of(arrays, seed) for seed in range(run.seeds)]
        found = [analyse(arrays, seed, seen, trained.discount) for seed, seen in enumerate(seeds)]
        controls = controls_of(run, trained, rule, episodes)
        rows = [*claims(found, controls), checksum_row(trained.agents.checksum() == before)]
        drawings = draw(found, seeds[0], arrays["hidden"][::2, 0], controls, trained.history)
        return Result(rows, drawings, numbers(found, controls))


def analyse(arrays: Arrays, seed: int, seen: Trials, gamma: float) -> Found:
    """Errors and states of one seed."""
    score = float(arrays["score"][1::2, seed].mean())
    return Found(score, signals(seen), tabular(seen, gamma), coded(arrays["hidden"][::2, seed], seen))


def claims(found: list[Found], controls: Controls) -> list[Claim]:
    """The table, without the weights' row."""
    agents, tables, states = ([getattr(f, name) for f in found] for name in ("agent", "tabular", "coded"))
    inferred = [contrast(one.inferred) for one in agents]
    size = [contrast(one.inferred) / contrast(one.stable) for one in agents]
    ratio = [contrast(one.inferred) / contrast(one.experienced) for one in agents]
    jump = [one.outcome_reversal / one.outcome_stable for one in agents]
    table = [
        Bounded(
            "stable cue that pays",
            "≥ +.25 (≈ .4)",
            "our bound",
            [s.stable[0] for s in agents],
            _at_least(0.25),
        ),
        Bounded("stable cue that does not", "≤ -.25 (≈ -.4)", "our bound", [s.stable[1] for s in agents], _is_low),
        Bounded("inferred, pays now", "> 0", "our bound", [s.inferred[0] for s in agents], lambda x: x > 0),
        Bounded("inferred, does not now", "< 0", "our bound", [s.inferred[1] for s in agents], lambda x: x < 0),
        Bounded("inferred / stable", "≥ .7", "proposed", size, _at_least(0.7)),
        Bounded("inferred / experienced", ".7 to 1.4", "proposed", ratio, lambda x: 0.7 <= x <= 1.4),
        Bounded("|error| at outcome, reversal / stable", "≥ 5", "proposed", jump, _at_least(5)),
        Bounded(
            "side from two components of h, after each target",
            "≥ .95",
            "proposed",
            [c.plane for c in states],
            _at_least(0.95),
        ),
        Bounded("… in the trial after a reversal", "≥ .95", "proposed", [c.after for c in states], _at_least(0.95)),
    ]
    rows = [*(one.claim for one in table), together(table)]
    units = [c.units for c in states]
    rows.append(
        Bounded("side from all units of h, after any target", "≥ .95", "our bound", units, _at_least(0.95)).claim
    )
    old = [contrast(one.inferred) for one in tables]
    rows.append(Bounded("tabular TD(0), inferred contrast", "< 0", "derived", old, lambda x: x < 0).claim)
    rows.append(Bounded("agents, inferred contrast", "> 0", "our bound", inferred, lambda x: x > 0).claim)
    answers = [f.score for f in found]
    rows.append(Bounded("trials with both answers right", "≥ .95", "proposed", answers, _at_least(0.95)).claim)
    withheld = ("reward withheld, retrained", "state reset, reward withheld", "untrained")
    for name, values in zip(withheld, (controls.blind, controls.forgetful, controls.untrained), strict=True):
        row = Bounded(f"contrast at the cue, {name}", "0 ± .05", "derived", values, lambda x: abs(x) <= 0.05)
        rows.append(row.claim)
    reset = Bounded("contrast at the cue, state reset only", "–", "proposed", controls.reset, _at_least(0))
    rows.append(reset.claim._replace(within=None))
    return rows


def _at_least(bound: float) -> Callable[[float], bool]:
    return lambda x: x >= bound


def _is_low(x: float) -> bool:
    return x <= -0.25


def numbers(found: list[Found], controls: Controls) -> dict[str, object]:
    """Everything behind the table, for result.json."""
    seeds = [
        {"score": f.score, **{name: getattr(f, name)._asdict() for name in ("agent", "tabular", "coded")}}
        for f in found
    ]
    return {"seeds": seeds, "controls": controls._asdict()}
