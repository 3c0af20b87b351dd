"""Reading a run: metrics, the champion, its comparison; and living the champion again.

A run directory is plain files: metrics.jsonl (one JSON object a generation), champion.yaml (an experiment without
genes), comparison.json, champion.json, report.html. This example makes a small run first.
"""

import tempfile
from pathlib import Path

from metaplastic.platform.evaluate import generation_key, live_experiment
from metaplastic.platform.experiment_file import from_dict, load
from metaplastic.platform.run import RunDirectory
from metaplastic.platform.search import search

EXPERIMENT = {
    "name": "to-read",
    "task": {"kind": "Bandit-v0", "trials": 30, "test_trials": 10, "feedback": False},
    "network": {"kind": "feedforward", "layers": 0, "gain": 0.1},
    "rule": {"kind": "q_agrel", "eta": {"gene": [0.001, 1], "log": True}},
    "critic": {"kind": "action_value"},
    "policy": {"kind": "epsilon_greedy", "epsilon": 0.1},
    "search": {"kind": "snes", "population": 8},
    "generations": 3,
    "execution": {"backend": "torch"},
    "tracking": {"wandb": "disabled"},
}

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "run"
    search(from_dict(EXPERIMENT), path)
    run = RunDirectory.open(path)
    for record in run.metrics():
        fitness = record["fitness"]["score"]
        print(f"generation {record['generation']}: best {fitness['best']:.3f}, median {fitness['median']:.3f}")
    for entry in run.read_json("comparison.json")["entries"]:
        print(f"{entry['name']:16} {entry['mean']:.3f} ± {entry['sd']:.3f}")
    print(run.read_json("champion.json")["formula"]["text"])
    champion = load(run.champion)
    again = live_experiment(champion, individuals=1, key=generation_key(7, 0), lifetimes=10)
    print(f"ten more lives of the champion: {again.score.mean().item():.3f}")
