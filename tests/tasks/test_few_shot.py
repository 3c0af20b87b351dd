"""Few-shot learning: both protocols step by step, the ceiling by an ideal observer, and Omniglot's folder."""

import math
from typing import Any

import pytest
import torch
from matplotlib.image import imsave
from one_graph import check_one_graph
from scipy.stats import chisquare

from metaplastic import rng
from metaplastic.core import ConfigError
from metaplastic.tasks.association.few_shot import FewShot
from metaplastic.tasks.images import omniglot
from metaplastic.tasks.images.glyphs import SPLITS
from metaplastic.tasks.registry import make

SMALL: dict[str, Any] = {"ways": 3, "shots": 2, "queries": 2, "side": 9, "show": 2, "blank": 1}
PIXELS = 81


def parts(task: FewShot, lives: int, trial: int = 0):
    """Pictures [S, L, pixels], labels as shown and as wanted [S, L, N], without repeats and blanks."""
    batch = task.render(torch.arange(lives), trial)
    every = batch.x[:: task.show + task.blank]
    return every[..., : -task.ways], every[..., -task.ways :], batch.y[:: task.show + task.blank]


def test_a_trial_shows_every_class_with_its_label_in_every_round_and_then_asks():
    task = FewShot(**SMALL, gain=2.0)
    batch = task.render(torch.arange(7), 1)
    assert batch.x.shape == (8 * 3 - 1, 7, PIXELS + 3)
    assert batch.epoch[:, 0].tolist() == [0, 0, 1] * 6 + [2, 2, 1, 2, 2]
    assert batch.w[:, 0].tolist() == [0.0] * 18 + [0, 1, 0, 0, 1]
    assert (batch.x[2::3] == 0).all()
    assert torch.equal(batch.x[::3], batch.x[1::3])
    pictures, told, wanted = parts(task, 7, 1)
    for first in (0, 3):
        assert torch.equal(told[first : first + 3].sum(0), torch.full((7, 3), 2.0))
    assert torch.equal(told[:6], 2 * wanted[:6])
    assert (told[6:] == 0).all()
    assert (wanted[6:].sum(-1) == 1).all()
    assert len(pictures.flatten(0, 1).unique(dim=0)) == 8 * 7  # no drawing comes twice


def test_labels_and_queries_come_each_alike():
    task = FewShot(ways=3, side=4)
    _, told, wanted = parts(task, 2500)
    code = (told[:3].argmax(-1) * torch.tensor([9, 3, 1])[:, None]).sum(0).bincount(minlength=27)
    assert (code > 0).sum() == 6
    assert chisquare(code[code > 0].numpy()).pvalue > 1e-4
    assert chisquare(wanted[3].sum(0).numpy()).pvalue > 1e-4


def test_in_the_other_protocol_a_label_comes_with_the_next_drawing_and_all_are_judged():
    task = FewShot(ways=3, shots=4, labels="after", side=9)
    _, told, wanted = parts(task, 50)
    assert (told[0] == 0).all()
    assert torch.equal(told[1:], wanted[:-1])
    assert torch.equal(wanted.sum(0), torch.full((50, 3), 4.0))
    batch = task.render(torch.arange(50), 0)
    assert (batch.w == 1).all()
    assert (batch.epoch == 2).all()
    assert len({tuple(order) for order in wanted.argmax(-1).T.tolist()}) > 45


def test_who_tells_all_classes_apart_scores_the_ceiling():
    task = FewShot(ways=3, shots=2, labels="after", side=4)
    label = parts(task, 1500)[2].argmax(-1)
    scores = []
    for lane, row in enumerate(label.T.tolist()):
        known, right = set(), 0
        for place, name in enumerate(row):
            left = [n for n in range(3) if n not in known]
            right += name in known or left[(lane + place) % len(left)] == name
            known.add(name)
        scores.append(right / len(row))
    score = torch.tensor(scores)
    assert task.spec.ceiling == pytest.approx((3 * 1 + 1 + 1 / 2 + 1 / 3) / 6)
    assert abs(score.mean() - task.spec.ceiling) < 4 * score.std() / math.sqrt(1500)


def test_the_nearest_drawing_names_most_queries():
    task = FewShot(side=20)
    pictures, _, wanted = parts(task, 200)
    near = (pictures[:5] - pictures[5]).square().sum(-1).argmin(0)
    named = wanted[:5].gather(0, near[None, :, None].expand(1, -1, 5))[0]
    assert (named.argmax(-1) == wanted[5].argmax(-1)).float().mean() > 0.8  # chance 1 / 5


def test_the_score_is_the_part_of_queries_that_the_largest_output_names():
    task = FewShot(**SMALL)
    batch = task.render(torch.arange(5), 0)
    output = torch.full_like(batch.y, 0.5)
    output[19] = -0.5 + 0.25 * batch.y[19]  # the first query's last step
    output[22] = 1 - batch.y[22]
    verdict = task.judge(output, batch)
    assert (verdict.score == 0.5).all()
    assert (verdict.correct == 0).all()
    error = ((2 * 0.5**2 + 1.25**2) / 3 + 1) / 2
    assert torch.allclose(verdict.reward, torch.full((5,), -error))
    assert (task.judge(batch.y, batch).correct == 1).all()


def test_all_drawings_of_a_class_are_turned_alike_by_a_right_angle():
    settings: dict[str, Any] = {"ways": 3, "shots": 3, "side": 12}
    plain, turned = (
        parts(FewShot(**settings, turned=turned), 60)[0].reshape(-1, 60, 12, 12) for turned in (False, True)
    )
    label = parts(FewShot(**settings), 60)[2].argmax(-1)
    same = torch.stack([(turned == plain.rot90(k, (2, 3))).all(-1).all(-1) for k in range(4)])
    assert (same.sum(0) == 1).all()
    turn = same.int().argmax(0)
    for lane in range(60):
        assert all(len(turn[:, lane][label[:, lane] == name].unique()) == 1 for name in range(3))
    assert chisquare(turn[:3].flatten().bincount(minlength=4).numpy()).pvalue > 1e-4


@pytest.mark.parametrize("split", SPLITS)
def test_classes_are_different_ones_of_the_split(split: Any):
    task = FewShot(split=split, ways=4)
    classes, _ = task._classes(rng.lifetime_keys(0, torch.arange(3000)))
    first, count = SPLITS[split]
    assert classes.min() >= first
    assert classes.max() < first + count
    assert (classes.sort(-1).values.diff(dim=-1) > 0).all()
    assert chisquare(((classes - first) * 8 // count).flatten().bincount(minlength=8).numpy()).pvalue > 1e-4


def test_evaluation_is_on_classes_that_no_search_sees():
    assert FewShot().held_out() == FewShot(split="test")


def test_the_published_protocols():
    miconi, santoro = (make("FewShot-v0", preset=preset) for preset in ("miconi18", "santoro16"))
    assert isinstance(miconi, FewShot)
    assert isinstance(santoro, FewShot)
    assert (miconi.spec.trial_steps, miconi.spec.observations, miconi.spec.chance) == (6, 31 * 31 + 5, 0.2)
    assert (santoro.spec.trial_steps, santoro.spec.observations, santoro.labels) == (50, 20 * 20 + 5, "after")
    assert santoro.spec.ceiling == pytest.approx((45 + 137 / 60) / 50)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Nine characters; character c, drawing d has 3 + c dark rows and d dark pixels in the last one, of 24 x 24."""
    root = tmp_path_factory.mktemp("omniglot")
    for c in range(9):
        part = omniglot.PARTS[c > 5]
        place = root / part / f"Alphabet_{c % 2}" / f"character{c:02d}"
        place.mkdir(parents=True)
        for d in range(20):
            paper = torch.ones(24, 24)
            paper[: 3 + c] = 0
            paper[-1, :d] = 0
            imsave(place / f"{c:04d}_{d:02d}.png", paper.numpy(), cmap="gray", vmin=0, vmax=1)
    return str(root)


def test_omniglot_is_read_and_its_splits_share_no_character(folder):
    seen = {}
    for split in ("train", "validation", "test"):
        settings: dict[str, Any] = {"ways": 2, "shots": 3, "side": 24, "turned": False, "held": 2, "split": split}
        task = make("FewShot-v0", data="omniglot", data_root=folder, **settings)
        assert isinstance(task, FewShot)
        pictures, _, wanted = parts(task, 40)
        shown = pictures.reshape(-1, 40, 24, 24)
        character = shown[..., 0].sum(-1).long() - (shown[..., -1, 0] > 0.5).long() - 3
        drawing = shown[..., -1, :].sum(-1).long()
        seen[split] = set(character.flatten().tolist())
        label = wanted.argmax(-1)
        for lane in range(40):
            pairs = set(zip(label[:, lane].tolist(), character[:, lane].tolist(), strict=True))
            assert len(pairs) == 2  # a label is a character
            each = set(zip(character[:, lane].tolist(), drawing[:, lane].tolist(), strict=True))
            assert len(each) == 7  # no drawing twice
    assert [len(seen[split]) for split in seen] == [5, 2, 2]
    assert set.union(*seen.values()) == set(range(9))


def test_omniglot_is_lived_as_it_is_rendered(folder):
    task = FewShot(data="omniglot", data_root=folder, ways=2, side=5, held=2, trials=2, test_trials=1)
    batch = task.render(torch.arange(3), 0)
    seen = task.rollout(lambda state, _: state.now.y, torch.arange(3), 3)
    assert torch.equal(seen.observation, batch.x)
    assert (seen.info.score[-1] == 1).all()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"labels": "besides"}, ["did you mean 'beside'?"]),
        ({"split": "tests"}, ["did you mean 'test'?"]),
        ({"data": "omniglot"}, ["data_root: no folder has no characters", "wanted the folder"]),
        ({"data": "omniglot", "ways": 6, "held": 2}, ["ways is 6, wanted at most 5"]),
        ({"data": "omniglot", "ways": 2, "held": 5}, ["held is 5, wanted at most 4: there are 9 characters"]),
        ({"data": "omniglot", "ways": 2, "held": 2, "shots": 20}, ["drawn 21 times", "wanted at most 20"]),
    ],
)
def test_wrong_settings_are_told(settings, words, folder):
    root = {"data_root": folder} if "held" in settings else {}
    with pytest.raises(ConfigError) as caught:
        make("FewShot-v0", **settings, **root)
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_character_with_missing_drawings_is_named(tmp_path):
    (tmp_path / omniglot.PARTS[0] / "Greek" / "character01").mkdir(parents=True)
    with pytest.raises(ConfigError, match="character01 has 0 PNG files, wanted 20; unpack"):
        make("FewShot-v0", data="omniglot", data_root=str(tmp_path))


def test_a_damaged_drawing_is_named(tmp_path):
    path = tmp_path / "0001_01.png"
    path.write_bytes(b"<html>")
    with pytest.raises(ValueError, match=r"0001_01\.png cannot be read as a PNG file"):
        omniglot._read(path, 5)


def test_a_step_is_one_graph():
    check_one_graph(("FewShot-v0", SMALL))


def test_vmap_over_lifetimes_is_the_batched_life():
    task = FewShot(**SMALL)
    lifetimes = torch.arange(6).reshape(3, 2)

    def last(lifetime: torch.Tensor) -> torch.Tensor:
        state, _ = task.reset(lifetime)
        return task.step(state, state.now.y)[1].observation

    assert torch.equal(torch.vmap(last)(lifetimes), last(lifetimes))
