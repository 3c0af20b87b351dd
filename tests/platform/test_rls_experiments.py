"""Experiment files with rules of recursive least squares and with AuGMEnT: searched, lived, compared."""

import pytest
import torch
import yaml

from metaplastic import rng
from metaplastic.platform.comparison import compare
from metaplastic.platform.evaluate import evaluate, genome_of, live_experiment
from metaplastic.platform.experiment import Experiment
from metaplastic.platform.experiment_file import from_dict

FORCE = """
name: force
task: {kind: PatternGeneration-v0, curve: sum4, dt: 20, frozen_rate: 0, timing: {run: 1200}, trials: 7, test_trials: 1}
network: {kind: rate_rnn, units: {gene: [20, 40]}, tau: 60, gain: {gene: [0.8, 1.4]}, start: 0.5}
rule: {kind: force, alpha: {gene: [0.1, 10], log: true}, interval: {gene: [1, 4]}}
lifetimes: 2
search: {kind: snes, population: 4}
comparison: {lifetimes: 2}
tracking: {wandb: disabled}
"""
SPIKES = {
    "kind": "full_force_spiking",
    "settle": 1,
    "component_trials": 1,
    "mean_trials": 1,
    "slow": {"gene": [50, 200]},
}
RULES = (
    {"kind": "force", "alpha": {"gene": [0.1, 10], "log": True}, "feedback": {"gene": [0.5, 2]}},
    {"kind": "full_force", "alpha": {"gene": [0.1, 10], "log": True}, "forgetting": {"gene": [0.98, 1]}},
    {"kind": "innate", "alpha": {"gene": [0.1, 10], "log": True}, "plastic": {"gene": [0.2, 0.8]}, "innate_trials": 3},
    SPIKES,
)
AUGMENT = """
name: augment
task: {kind: SaccadeAntisaccade-v0, trials: 9, test_trials: 2}
network: {kind: working_memory, theta: {gene: [1, 3]}, keep: {gene: [0.5, 1]}}
rule: {kind: augment, beta: {gene: [0.05, 0.5], log: true}, trace: {gene: [0, 1]}}
lifetimes: 3
search: {kind: snes, population: 4}
comparison: {lifetimes: 2}
tracking: {wandb: disabled}
"""


def scored(experiment: Experiment, population: int = 4):
    genes = len(genome_of(experiment).loci)
    genomes = torch.linspace(0.2, 0.8, population * genes).double().reshape(population, genes)
    key = rng.fold(rng.root(0), 0)
    whole = evaluate(experiment, genomes, key).fitness
    return genomes, key, whole


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["kind"])
def test_a_rule_of_least_squares_can_be_searched(rule):
    experiment = from_dict({**yaml.safe_load(FORCE), "rule": rule})
    genomes, key, fitness = scored(experiment)
    assert fitness.isfinite().all()
    alone = evaluate(experiment, genomes[1:2], key).fitness
    assert torch.allclose(alone[0], fitness[1], atol=1e-6)  # no individual depends on the others


def test_augment_can_be_searched():
    experiment = from_dict(yaml.safe_load(AUGMENT))
    genomes, key, fitness = scored(experiment)
    assert fitness.isfinite().all()
    assert torch.allclose(evaluate(experiment, genomes[2:3], key).fitness[0], fitness[2], atol=1e-6)


def plain(text: str, **parts: dict) -> Experiment:
    tree = {**yaml.safe_load(text), **parts}
    return from_dict({name: value for name, value in tree.items() if name != "search"})


def test_champions_are_compared_with_networks_whose_plasticity_is_off():
    network = {"kind": "rate_rnn", "units": 60, "tau": 60, "gain": 1.2, "start": 0.5}
    force = plain(FORCE, network=network, rule={"kind": "force"})
    scores = {entry.name: entry.scores.mean() for entry in compare(force, force, force)}
    assert scores["champion"] > scores["plasticity off"] + 0.5
    saccades = plain(AUGMENT, network={"kind": "working_memory"}, rule={"kind": "augment"})
    assert {entry.name for entry in compare(saccades, saccades, saccades)} == {
        "plasticity off",
        "starting rule",
        "champion",
    }


def test_what_was_asked_for_is_recorded():
    record = live_experiment(
        plain(AUGMENT, network={"kind": "working_memory"}, rule={"kind": "augment"}),
        1,
        rng.root(0),
        record=("correct",),
    )
    assert record.recordings["correct"].shape == (11, 1, 3)


def test_networks_and_rules_that_do_not_fit_are_refused():
    with pytest.raises(Exception, match="working_memory"):
        plain(AUGMENT, network={"kind": "working_memory"}, rule={"kind": "force"})
    with pytest.raises(Exception, match="force changes networks of kind rate_rnn"):
        plain(FORCE, network={"kind": "leaky_rnn"}, rule={"kind": "force"})
    wrong = plain(FORCE, network={"kind": "rate_rnn", "clamped": {0: 1.0}}, rule={"kind": "force"})
    with pytest.raises(ValueError, match="clamped"):
        live_experiment(wrong, 1, rng.root(0))
