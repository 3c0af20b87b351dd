"""A lifetime: networks are born with random weights, live through 300 digits, and are looked at.

An experiment is a tree of values; here it is built in Python (the same tree can be a YAML file).
"""

from metaplastic.inner_loop.critics import ActionValue
from metaplastic.inner_loop.networks.feedforward import Feedforward
from metaplastic.inner_loop.policies import EpsilonGreedy
from metaplastic.inner_loop.rules.q_agrel import QAgrel
from metaplastic.platform.evaluate import generation_key, live_experiment
from metaplastic.platform.experiment import Experiment
from metaplastic.tasks.registry import make

experiment = Experiment(
    name="a-lifetime",
    task=make("DigitsBandit-v0", trials=300, test_trials=100),
    network=Feedforward(units=32),
    rule=QAgrel(
        eta=0.1
    ),  # Pozzi, Bohté & Roelfsema 2018: reward prediction error x feedback of the chosen answer x pre
    critic=ActionValue(),
    policy=EpsilonGreedy(epsilon=0.02),
)
record = live_experiment(experiment, individuals=1, key=generation_key(seed=0, generation=0), lifetimes=5,
                         record=("reward", "rpe"))  # fmt: skip

for name, values in record.recordings.items():
    print(f"{name:8} {tuple(values.shape)}  (trial, individual, lifetime)")
early, late = (record.recordings["reward"][part].mean().item() for part in (slice(0, 50), slice(250, 300)))
print(f"reward a trial: {early:.2f} in the first 50 trials, {late:.2f} in the last 50")
print(f"test score {record.score.mean().item():.2f} (chance {experiment.task.spec.chance})")
assert late > early
