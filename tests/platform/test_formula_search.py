"""A search that writes formulas, from the experiment to the champion's file and back to life."""

from __future__ import annotations

import json

import torch
from tiny_decisions import TinyTask

from metaplastic import rng
from metaplastic.core import Gene
from metaplastic.inner_loop.networks.feedforward import Feedforward
from metaplastic.inner_loop.rules.library import RULES
from metaplastic.outer_loop.formula_evolution import MuPlusLambda
from metaplastic.platform.evaluate import evaluate, genome_of, live_experiment
from metaplastic.platform.experiment import Comparison, Experiment, Tracking
from metaplastic.platform.search import search


def experiment() -> Experiment:
    return Experiment(
        name="written",
        task=TinyTask(trials=8, test_trials=4),
        network=Feedforward(units=4),
        rule=RULES["evolved_formula"](eta=Gene(0.01, 0.5, log=True), inputs=("pre", "post", "w", "rpe"), nodes=4),
        search=MuPlusLambda(population=5),
        generations=3,
        lifetimes=2,
        comparison=Comparison(lifetimes=2),
        tracking=Tracking(wandb="disabled"),
    )


def test_the_champion_is_a_formula_that_can_be_read_and_lived(tmp_path):
    search(experiment(), tmp_path / "run", [])
    champion = json.loads((tmp_path / "run" / "champion.json").read_text())
    assert champion["formula"]["text"].startswith("Δw_ij = ")
    assert champion["formula"]["latex"].startswith(r"\Delta w_{ij} &= ")
    assert isinstance(champion["formula"]["known_as"], str)
    wiring = [champion["genes"][f"rule.wiring[{place}]"] for place in range(3 * 4 + 1)]
    rule = experiment().rule.model_copy(update={"wiring": tuple(map(int, wiring)), "eta": 0.1})
    plain = experiment().model_copy(update={"rule": rule, "search": None})
    assert live_experiment(plain, 1, rng.root(3)).score.shape == (1, 2)


def test_fitness_does_not_depend_on_whose_formula_stands_beside_it():
    one = experiment()
    genomes = rng.uniforms(rng.root(8), 6, genome_of(one).length).double()
    whole = evaluate(one, genomes, rng.root(1)).fitness
    for index in range(6):
        alone = evaluate(one, genomes[index : index + 1], rng.root(1)).fitness[0]
        assert torch.equal(alone.nan_to_num(-9.0), whole[index].nan_to_num(-9.0))
