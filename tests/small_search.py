"""A search that takes a second: a two-armed bandit, a network of a few neurons, the reference backend."""

import json
from pathlib import Path

from metaplastic.platform.experiment import Experiment
from metaplastic.platform.experiment_file import from_dict

SMALL = """
name: small
seed: 3
task: {kind: Bandit-v0, trials: 7, test_trials: 5, feedback: false}
network: {kind: feedforward, units: {gene: [2, 11]}}
rule:
  kind: formula
  update: eta * rpe * feedback * pre + b * post
  parameters: {eta: {gene: [0.01, 1], log: true}, b: 0}
critic: {kind: running_average}
policy: {kind: epsilon_greedy, epsilon: {gene: [0, 1]}}
lifetimes: 3
search: {kind: snes, population: 7}
generations: 4
comparison: {lifetimes: 3, controls: {softmax: {policy: {kind: softmax}}}}
execution: {backend: torch, chunk: 3}
tracking: {wandb: disabled}
"""


def small(*overrides: str) -> Experiment:
    """The experiment, with overrides."""
    import yaml

    return from_dict(yaml.safe_load(SMALL), list(overrides))


def small_file(folder: Path) -> Path:
    """The experiment as a file."""
    path = folder / "small.yaml"
    path.write_text(SMALL, encoding="utf-8")
    return path


def history(run: Path) -> list:
    """All fitness statistics and genes of a run, generation by generation; not its timings."""
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [{name: json.loads(line)[name] for name in ("generation", "fitness", "genes", "failed")} for line in lines]
