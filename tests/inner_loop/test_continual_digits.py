"""Five pairs of digits one after the other: what is left of the old ones, with and without protection."""

import pytest
import torch

from metaplastic import rng
from metaplastic.inner_loop.consolidation.beakers import BennaFusi
from metaplastic.inner_loop.consolidation.elastic import Elastic
from metaplastic.inner_loop.consolidation.synaptic import SynapticIntelligence
from metaplastic.inner_loop.critics import RunningAverage
from metaplastic.inner_loop.feedback.alignment import BatchBackprop
from metaplastic.inner_loop.lifetime import live
from metaplastic.inner_loop.networks.feedforward import Feedforward
from metaplastic.inner_loop.objectives import CrossEntropy
from metaplastic.inner_loop.policies import Greedy
from metaplastic.tasks.images.image_bandit import DigitsBandit
from metaplastic.tasks.task_sets.continual import Sequence, forgetting, mean_final_accuracy
from metaplastic.tasks.task_sets.named_sequences import split_digits

TRIALS, BATCH, LIVES = 960, 16, 8
WRITES = TRIALS // BATCH
HOWS = {
    "none": None,
    "ewc": Elastic(every=WRITES, strength=100.0),
    "si": SynapticIntelligence(every=WRITES, strength=1.0, damping=0.01),
    "benna_fusi": BennaFusi(beakers=6, ratio=1.5, alpha=4.0),
}
"""strengths were chosen in other lives, on the images of learning"""


def accuracies(sequence: Sequence, how, stages: int, eta: float = 0.1) -> torch.Tensor:
    """On 300 digits of each pair that no life has seen, after so many stages: [tasks, lives]."""
    part = sequence._replace(stages=sequence.stages[:stages])
    rule = BatchBackprop(eta=eta, batch=BATCH, consolidation=how)
    record = live(
        Feedforward(units=64), rule, CrossEntropy(), Greedy(), RunningAverage(), part.inner(test_trials=1),
        individuals=1, lifetime=torch.arange(LIVES), key=rng.root(41), record=["learned_weights"], backend="torch",
    )  # fmt: skip
    hidden, output = (record.recordings[f"learned_weights.{name}"][0] for name in ("hidden", "output"))
    found = []
    for task in range(5):
        unseen = DigitsBandit(pool="held_out", classes=(2 * task, 2 * task + 1), trials=1, test_trials=300)
        asked = unseen.decisions(torch.zeros(1, dtype=torch.int64), 1, 300)
        code = torch.nn.functional.one_hot(torch.tensor(task), 5).expand(300, -1)
        x = torch.cat([torch.ones(300, 1), asked.observation[:, 0], code], -1)
        y = torch.nn.functional.pad(torch.relu(x @ hidden.mT), (1, 0), value=1.0)
        right = (y @ output.mT).argmax(-1) == asked.payoff[:, 0].argmax(-1)
        found.append(right.float().mean(-1))
    return torch.stack(found)


def test_a_pair_of_digits_is_a_task_of_two_answers():
    sequence = split_digits(trials=20)
    seen = sequence.inner(test_trials=1).decisions(torch.arange(3), 0, 100)
    assert seen.payoff.shape == (100, 3, 2)
    assert (seen.payoff.sum(-1) == 1).all()
    stage = torch.arange(100) // 20
    assert (seen.observation[..., 64:].argmax(-1) == stage[:, None]).all()
    pool = DigitsBandit(classes=(4, 5)).images(torch.device("cpu"))
    assert set(pool.labels.tolist()) == {4, 5}
    assert set(sequence.recall(test_trials=11).decisions(torch.arange(3), 100, 10).kind.flatten().tolist()) == set(
        range(5)
    )


@pytest.mark.parametrize("classes", [(3,), (3, 3), (3, 10)])
def test_digits_that_make_no_task_are_refused(classes):
    with pytest.raises(ValueError, match="wanted at least two different digits"):
        DigitsBandit(classes=classes)


@pytest.mark.slow
def test_protection_keeps_old_digits():
    sequence, old, final, forgot = split_digits(TRIALS), {}, {}, {}
    for name, how in HOWS.items():
        rows = [torch.full((5, LIVES), 0.5), *(accuracies(sequence, how, stages) for stages in range(1, 6))]
        scores = torch.stack(rows)
        final[name], forgot[name] = mean_final_accuracy(scores), forgetting(scores)
        old[name] = scores[-1, :4].mean(0)
        print(f"{name}: final {_told(final[name])}, old {_told(old[name])}, forgetting {_told(forgot[name])}, "
              f"learned {_told(torch.stack([scores[j + 1, j] for j in range(5)]).mean(0))}")  # fmt: skip
    for name in ("ewc", "si"):
        assert (old[name] - old["none"]).mean() > 0.08
        assert forgot[name].mean() < 0.6 * forgot["none"].mean()
    assert old["benna_fusi"].mean() < old["none"].mean()  # errors write again what has leaked away: no protection


def _told(lives: torch.Tensor) -> str:
    return f"{lives.mean():.3f} ± {lives.std():.3f}"
