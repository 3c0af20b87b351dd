"""Evolving a rule: which learning rate, and how much exploration, for a bandit whose arms are new in every life?

Any number may be a `Gene`; the genome is derived from the tree. The run directory is kept under runs/ by the command
line; here it is a temporary one.
"""

import tempfile
from pathlib import Path

from metaplastic.core import Gene
from metaplastic.inner_loop.critics import ActionValue
from metaplastic.inner_loop.networks.feedforward import Feedforward
from metaplastic.inner_loop.policies import EpsilonGreedy
from metaplastic.inner_loop.rules.q_agrel import QAgrel
from metaplastic.outer_loop.searchers import SEARCHERS
from metaplastic.platform.evaluate import genome_of
from metaplastic.platform.experiment import Execution, Experiment, Tracking
from metaplastic.platform.search import search
from metaplastic.tasks.registry import make

experiment = Experiment(
    name="bandit-learner",
    task=make("Bandit-v0", structure="easy", trials=50, test_trials=20, feedback=False),
    network=Feedforward(layers=0, gain=0.1),
    rule=QAgrel(eta=Gene(0.001, 1.0, log=True, start=0.003)),
    critic=ActionValue(),
    policy=EpsilonGreedy(epsilon=Gene(0.0, 1.0)),
    lifetimes=50,
    search=SEARCHERS["snes"](population=16),
    generations=8,
    execution=Execution(backend="torch"),
    tracking=Tracking(wandb="disabled"),
)
print("genes:", ", ".join(genome_of(experiment).names()))
with tempfile.TemporaryDirectory() as folder:
    print(search(experiment, Path(folder) / "run").summary())
