"""Learning to play bandits: an algorithm within a network, as good as those that were made for it (Wang et al. 2016).

    regret(t) = sum_{s <= t} max_a mu_a - mu_{a_s}                                                                (1)
    normalised(t) = (regret of random - regret) / (regret of random - regret of the optimum),  all at t           (2)

mu are the arms' expected payoffs, so (1) has no noise of rewards. An LSTM that hears its last action and reward, and
t / T, is trained on two arms with independent probabilities, another on arms that pay with p and 1 - p, a third on the
eleven arms of which the poorest tells where the best is. Weights are then fixed, and what they do in new episodes is a
learning algorithm. It is held against the optimum (Bellman's equation), Thompson sampling and UCB.
Shapes: S seeds, T trials, E episodes, H units.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from metaplastic.inner_loop.gradient.actor_critic import A2C
from metaplastic.inner_loop.networks.gated import LSTM
from metaplastic.studies.analysis.behaviour import cumulative_regret
from metaplastic.studies.analysis.references import Curve, bandit_references, regret_curve
from metaplastic.studies.dopamine.bandits_figure import draw
from metaplastic.studies.dopamine.bandits_table import claims
from metaplastic.studies.dopamine.blind import DEPARTURE, train_blind
from metaplastic.studies.dopamine.laboratory import Trained, train_population
from metaplastic.studies.study import Result, Run, Study
from metaplastic.tasks.bandits.arms import STRUCTURES
from metaplastic.tasks.bandits.dependent import TARGETS, DependentArms
from metaplastic.tasks.bandits.independent import Bandit
from metaplastic.tasks.bandits.values import ideal_independent

TRIALS = 100
TESTS = ("independent", "correlated", "easy", "medium", "hard")
"""structures that both agents are tested on"""
UPDATES, BATCH, DISCOUNT = 5000, 64, 0.8
ELEVEN = A2C(updates=1500, batch=512, discount=DISCOUNT, entropy=1.0, learning_rate=0.01)
"""asking costs at first, so it is not found with little entropy; Wang et al. 2016 anneal it from 1 as well"""
EPISODES, FEWER = 4000, 1000
"""test episodes on the bandit that was trained on, and on each of the others"""
CHUNK = 250
"""test episodes recorded at once"""


def bandit(structure: str) -> Bandit:
    """Two arms for 100 trials."""
    assert structure in STRUCTURES
    return Bandit.model_validate({"structure": structure, "trials": TRIALS - 1, "test_trials": 1})


class Play(NamedTuple):
    """What a population did on one bandit."""

    regret: Float[np.ndarray, "T S"]
    """(1), mean over episodes"""
    action: Int[np.ndarray, "T E"]
    """of seed 0"""
    means: Float[np.ndarray, "E 2"]

    @property
    def last(self) -> list[float]:
        """Regret of each seed after all trials."""
        return self.regret[-1].tolist()


class Eleven(NamedTuple):
    """What a population did with eleven arms; one number a seed, and by pull."""

    asked: Float[np.ndarray, " S"]
    """P(first pull is the arm that tells)"""
    on_target: Float[np.ndarray, "T S"]
    """P(pull is the target)"""
    earned: Float[np.ndarray, " S"]
    """payoff of an episode"""
    shares: Float[np.ndarray, "T 3"]
    """share of pulls on the arm that tells, the target, and the others; mean over seeds"""

    @property
    def after(self) -> Float[np.ndarray, " S"]:
        """P(target) from the second pull on."""
        return self.on_target[1:].mean(0)


class Controls(NamedTuple):
    """Regret of the first bandit after all trials, one a seed."""

    blind: list[float]
    """retrained with the reward withheld"""
    forgetful: list[float]
    """the trained agents, state reset at every trial"""
    untrained: list[float]


class Found(NamedTuple):
    """Everything that was measured."""

    independent: dict[str, Play]
    """of those trained on independent arms, by test"""
    correlated: dict[str, Play]
    """of those trained on p and 1 - p"""
    known: dict[str, dict[str, Curve]]
    """test -> algorithm -> regret"""
    eleven: Eleven
    controls: Controls
    is_unchanged: bool
    ideal: float
    """expected successes of the optimum in 100 trials of two independent arms"""


def play(trained: Trained, structure: str, episodes: int, *, forget: bool = False) -> Play:
    """Record in chunks, keep what was chosen and what the arms pay."""
    regrets, action, means = [], [], []
    for first in range(0, episodes, CHUNK):
        count = min(CHUNK, episodes - first)
        seen = trained.record(count, ("action",), task=bandit(structure), forget=forget, first=first)
        arms = seen["latent.life.means"].reshape(TRIALS, -1, count, 2)
        regrets.append(cumulative_regret(arms, seen["action"]))
        action.append(seen["action"][:, 0])
        means.append(arms[0, 0])
    return Play(np.concatenate(regrets, 2).mean(2), np.concatenate(action, 1), np.concatenate(means))


def play_eleven(trained: Trained, episodes: int) -> Eleven:
    """Pulls of the arm that tells, of the target and of the others."""
    seen = trained.record(episodes, ("action", "reward"))
    action, target = seen["action"], seen["latent.life.arm"]
    asks, hits = action == TARGETS, action == target
    shares = np.stack([part.mean((1, 2)) for part in (asks, hits, ~asks & ~hits)], 1)
    earned = seen["reward"].sum(0).mean(1)
    return Eleven(asks[0].mean(1), hits.mean(2), earned, shares)


def references(lifetimes: int) -> dict[str, dict[str, Curve]]:
    """Algorithms on every test."""
    players = bandit_references(TRIALS)
    return {
        structure: {
            name: regret_curve(bandit(structure), player, lifetimes, TRIALS) for name, player in players.items()
        }
        for structure in TESTS
    }


def controls_of(run: Run, trained: Trained, rule: A2C, episodes: int) -> Controls:
    """Train the blind, reset the trained, and ask the newborn."""
    blind = train_blind(run, trained, rule)
    return Controls(
        play(blind, "independent", episodes).last,
        play(trained, "independent", episodes, forget=True).last,
        play(trained.untrained(), "independent", episodes).last,
    )


def paths(trained: Trained, episodes: int) -> tuple[Float[np.ndarray, "T E H"], Float[np.ndarray, "E 2"]]:
    """States of seed 0 and the arms, for the picture of trajectories."""
    seen = trained.record(episodes, ("hidden",))
    return seen["hidden"][:, 0], seen["latent.life.means"].reshape(TRIALS, -1, episodes, 2)[0, 0]


class BanditStudy(Study):
    """Experiments 1, 2 and 4 of Wang et al. 2016; Fig. 1 of Wang et al. 2018."""

    name: ClassVar[str] = "bandits"
    title: ClassVar[str] = "Bandits: a learning algorithm within a network, held against the optimum"
    question: ClassVar[str] = (
        "Can slow reward-driven training of a recurrent network make a second, fast learning algorithm in its "
        "activity, one that explores and exploits as well as algorithms made for the purpose, and that is fitted to "
        "the problems it was trained on?"
    )
    method: ClassVar[str] = (
        "LSTMs with 48 units hear their last action, last reward and t / T. One population is trained by advantage "
        f"actor-critic on two arms with independent probabilities ({UPDATES} updates of {BATCH} episodes of {TRIALS} "
        "trials), one on arms that pay with p and 1 - p, one on eleven arms of which the poorest tells which one is "
        "best. Weights are then fixed. Regret is that of expected payoffs, over new episodes, beside the optimum for "
        "independent arms (Bellman's equation), Thompson sampling and UCB on bandits of the same kind."
    )
    departures: ClassVar[Sequence[str]] = (
        "Adam with a rate that falls to 0, gradients clipped, gamma .8 and 64 episodes side by side for 5000 updates; "
        "the paper searches rates and gamma at random for A3C, 20 000 episodes, and shows the best 5 of 100 runs. All "
        "our seeds are shown.",
        "Gittins in the paper is the Bayesian optimum for the finite horizon; here it is solved exactly.",
        DEPARTURE,
        "Eleven arms: the last payoff is told one-hot as in the paper, and as a number too.",
        "The restless bandit is not part of it.",
    )
    references: ClassVar[Sequence[str]] = (
        "Wang et al. 2016, Learning to reinforcement learn, arXiv:1611.05763",
        "Wang et al. 2018, Prefrontal cortex as a meta-reinforcement learning system, Nat Neurosci 21:860",
    )
    minutes: ClassVar[float | None] = 35

    def run(self, run: Run) -> Result:
        """Train three populations, freeze, play, compare."""
        rule = A2C(updates=UPDATES, batch=BATCH, discount=DISCOUNT)
        network = LSTM(time_input=True)
        one = train_population(run, "independent", network, rule, bandit("independent"))
        other = train_population(run, "correlated", network, rule, bandit("correlated"))
        arms = DependentArms(trials=4, test_trials=1, coded=True, feedback=False)
        third = train_population(run, "eleven", LSTM(), ELEVEN, arms)
        many, fewer = (EPISODES, FEWER) if run.scale != "quick" else (50, 50)
        before = [each.agents.checksum() for each in (one, other, third)]
        found = Found(
            {name: play(one, name, many if name == "independent" else fewer) for name in TESTS},
            {name: play(other, name, fewer) for name in TESTS},
            references(many),
            play_eleven(third, fewer),
            controls_of(run, one, rule, fewer),
            before == [each.agents.checksum() for each in (one, other, third)],
            ideal_independent(TRIALS),
        )
        return Result(claims(found), draw(found, one.history, *paths(one, min(300, fewer))), numbers(found))


def numbers(found: Found) -> dict[str, object]:
    """Everything behind the table, for result.json."""
    agents = {"independent": found.independent, "correlated": found.correlated}
    return {
        "regret": {name: {test: one.last for test, one in plays.items()} for name, plays in agents.items()},
        "curves": {
            name: {test: one.regret.mean(1).tolist() for test, one in plays.items()} for name, plays in agents.items()
        },
        "references": {
            test: {name: curve.mean[-1].item() for name, curve in curves.items()}
            for test, curves in found.known.items()
        },
        "eleven": {name: getattr(found.eleven, name).tolist() for name in Eleven._fields},
        "controls": found.controls._asdict(),
        "ideal": found.ideal,
    }
