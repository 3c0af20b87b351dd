"""The champion's trial: controls in others' places, failed lives, ablations."""

import pytest
import torch
from small_search import small

from metaplastic.inner_loop.rules.fixed import Fixed
from metaplastic.platform.champion import ablations, candidates, choose
from metaplastic.platform.comparison import trial, with_control
from metaplastic.platform.evaluate import genome_of
from metaplastic.platform.experiment import Control

PLAIN = ("network.units=5", "rule.parameters.eta=0.1", "policy.epsilon=0.1")


def test_a_control_takes_the_place_of_what_it_names_and_nothing_else():
    experiment = small(*PLAIN)
    off = with_control(experiment, Control(rule=Fixed()))
    assert off.rule == Fixed()
    assert off.model_copy(update={"rule": experiment.rule}) == experiment


def test_a_life_that_blows_up_counts_with_score_0_and_is_counted():
    entry = trial("blown up", "control", small(*PLAIN, "rule.update=1e30 * pre + eta * b"), 4)
    assert entry.scores.tolist() == [0.0] * 4
    assert entry.failed == 4
    assert entry.as_json()["mean"] == 0.0


def test_learning_that_is_off_scores_at_chance_and_on_above():
    words = ["task.structure=easy", "task.trials=80", "task.test_trials=30"]
    experiment = small(*PLAIN, *words, "critic.kind=action_value")
    on = trial("on", "champion", experiment, 60).scores.mean().item()
    off = trial("off", "control", with_control(experiment, Control(rule=Fixed())), 60).scores.mean().item()
    assert off == pytest.approx(0.5, abs=0.12)
    assert on > off + 0.15


def test_ablations_leave_out_each_term_and_silence_each_gene():
    experiment = small(*PLAIN, "rule.parameters.b=0.01")
    rows = ablations(experiment, ["rule.parameters.eta", "network.units"], 3)
    assert [row["without"] for row in rows] == ["feedback*pre*rpe", "post", "eta = 0"]
    silent = small(*PLAIN, "rule.parameters.eta=0", "rule.parameters.b=0.01")
    without_eta = trial("", "control", silent, 3).scores
    assert rows[2]["scores"] == without_eta.tolist()
    assert rows[0]["scores"] == pytest.approx(without_eta.tolist())  # the term is all that eta is in


def test_candidates_are_the_last_elites_and_the_middle_of_the_better_quarter():
    genomes = torch.linspace(0, 1, 8, dtype=torch.float64)[:, None]
    found = candidates(torch.arange(20.0, dtype=torch.float64)[:, None] / 20, genomes, genomes)
    assert found.shape == (13, 1)
    assert found[-1].item() == pytest.approx((genomes[6] + genomes[7]).item() / 2)
    assert found[0].item() == 8 / 20


def test_the_champion_is_the_best_of_the_candidates_on_fresh_lives():
    experiment = small("task.structure=easy", "task.trials=60", "network.units=4", "critic.kind=action_value")
    genome = genome_of(experiment)
    deaf = genome.start().clone()
    deaf[0] = 0.0  # the smallest rate
    learner = genome.start().clone()
    learner[0] = 0.7
    best, score = choose(experiment, torch.stack([deaf, learner, deaf]))
    assert torch.equal(best, learner)
    assert score > 0.6
