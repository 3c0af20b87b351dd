"""Rules that learn from minibatches, from an experiment file to a champion beside its controls."""

import json

import pytest
import torch
import yaml

from metaplastic.core import ConfigError
from metaplastic.platform.evaluate import evaluate, generation_key, genome_of
from metaplastic.platform.experiment_file import from_dict
from metaplastic.platform.search import search

TEXT = """
name: layered
seed: 1
task: {kind: DigitsBandit-v0, trials: 400, test_trials: 100}
network: {kind: feedforward, units: 12}
rule: {choice: [
  {kind: feedback_alignment, batch: 4, eta: {gene: [0.01, 1], log: true}},
  {kind: batch_backprop, batch: 4, eta: {gene: [0.01, 1], log: true}}]}
objective: {kind: cross_entropy}
lifetimes: 2
search: {kind: snes, population: 6}
generations: 2
comparison: {lifetimes: 2, controls: {backprop: {rule: {kind: batch_backprop, batch: 4}}}}
execution: {chunk: 3}
tracking: {wandb: disabled}
"""


def test_rules_that_follow_an_error_are_searched_and_compared(tmp_path):
    search(from_dict(yaml.safe_load(TEXT), []), tmp_path / "run")
    entries = json.loads((tmp_path / "run" / "comparison.json").read_text())["entries"]
    scores = {entry["name"]: entry["mean"] for entry in entries}
    assert list(scores) == ["plasticity off", "starting rule", "backprop", "champion"]
    assert scores["champion"] > scores["plasticity off"] + 0.2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"objective": {"kind": "reward"}}, "follows the error of the answer, and objective reward has none"),
        ({"rule": {"kind": "agrel", "batch": 500}, "objective": {"kind": "reward"}}, "a life has 400 trials"),
        (
            {"objective": {"kind": "mixture", "terms": [{"kind": "cross_entropy"}, {"kind": "energy"}]}},
            "objective has energy",
        ),
        ({"rule": {"kind": "q_agrel"}}, "objective has cross_entropy, which rule q_agrel is not told of"),
    ],
)
def test_what_does_not_fit_together_is_refused_before_anything_lives(changes, words):
    with pytest.raises(ConfigError, match=words):
        from_dict({**yaml.safe_load(TEXT), "comparison": {}, **changes}, [])


CONTINUAL = """
name: continual
task:
  kind: TaskSet
  schedule: sequential
  block: 24
  trials: 48
  test_trials: 4
  tasks: [{kind: DigitsBandit-v0, classes: [0, 1]}, {kind: DigitsBandit-v0, classes: [2, 3]}]
network: {kind: feedforward, units: 6}
rule: {kind: batch_backprop, batch: 4, consolidation: {choice: [
  {kind: ewc, every: 6, minibatches: 2, strength: {gene: [1, 1000], log: true}},
  {kind: si, every: 6, strength: {gene: [0.01, 100], log: true}},
  {kind: benna_fusi, alpha: {gene: [2, 100], log: true}}]}}
objective: {kind: cross_entropy}
lifetimes: 2
search: {kind: snes, population: 4}
tracking: {wandb: disabled}
"""


def test_what_protects_old_tasks_is_a_gene():
    experiment = from_dict(yaml.safe_load(CONTINUAL), [])
    genome = genome_of(experiment)
    genomes = torch.linspace(0.05, 0.95, 6).double()[:, None].expand(6, genome.length)
    kinds = [group.tree.rule.consolidation.kind for group in genome.express(genomes)]
    assert sorted(kinds) == ["benna_fusi", "ewc", "si"]
    fitness = evaluate(experiment, genomes, generation_key(1, 0)).fitness
    assert torch.equal(fitness[1:2], evaluate(experiment, genomes[1:2], generation_key(1, 0)).fitness)
    assert len(fitness.unique()) > 1
    with pytest.raises(ConfigError, match="objective reward has none"):
        from_dict({**yaml.safe_load(CONTINUAL), "rule": {"kind": "agrel", "batch": 4, "consolidation": {
            "kind": "ewc", "every": 6, "minibatches": 2}}, "objective": {"kind": "reward"}}, [])  # fmt: skip
