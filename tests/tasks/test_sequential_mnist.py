"""Sequential images: pixels in their order, the cue, spikes against a plain loop, and the mean output's verdict."""

import pytest
import torch
from idx_writer import write_idx
from one_graph import check_one_graph

from metaplastic.core import ConfigError
from metaplastic.tasks.images.sequential_mnist import SequentialMNIST
from metaplastic.tasks.registry import make

CPU = torch.device("cpu")


def test_a_trial_shows_the_pixels_of_one_image_and_a_cue():
    task = SequentialMNIST(gain=2.0)
    batch = task.render(torch.arange(5), 3)
    assert batch.x.shape == (64 + 16, 5, 2)
    assert batch.epoch[:, 0].tolist() == [0] * 64 + [1] * 16
    assert batch.w[:, 0].tolist() == [0.0] * 72 + [1.0] * 8
    assert (batch.x[64:, :, 0] == 0).all()
    assert batch.x[:, 0, 1].tolist() == [0.0] * 64 + [2.0] * 16
    pool = task.images(CPU)
    index = batch.drawn.values.number
    assert torch.equal(batch.x[:64, :, 0].T, pool.images[index].float() / 8)
    assert torch.equal(batch.y.argmax(-1), pool.labels[index].expand(80, 5))


def test_permuted_pixels_are_the_same_image_in_one_order_for_all():
    plain, permuted = (SequentialMNIST(cue_rows=0, permuted=permuted) for permuted in (False, True))
    rows, mixed = (task.render(torch.arange(400), 0).x[..., 0] for task in (plain, permuted))
    assert torch.equal(rows.sort(0).values, mixed.sort(0).values)
    order = (mixed[:, None] == rows[None]).all(-1)  # step of the permuted image, pixel
    assert order.any(1).all()
    assert not torch.equal(rows, mixed)


def test_without_a_cue_the_last_pixel_is_judged():
    batch = SequentialMNIST(cue_rows=0).render(torch.arange(3), 0)
    assert batch.x.shape == (64, 3, 1)
    assert batch.w[:, 0].tolist() == [0.0] * 63 + [1.0]


def test_spikes_tell_every_crossing_of_a_level():
    task = SequentialMNIST(spikes=True, levels=5)
    lives = 20
    batch, image = task.render(torch.arange(lives), 0), SequentialMNIST().render(torch.arange(lives), 0).x[:64, :, 0]
    assert batch.x.shape == (80, lives, 4 + 4 + 1 + 1)
    for lane in range(lives):
        before = 0.0
        for step, grey in enumerate(image[:, lane].tolist()):
            up = [float(before < k / 4 <= grey) for k in range(4)]
            down = [float(grey < k / 4 <= before) for k in range(4)]
            assert batch.x[step, lane].tolist() == [*up, *down, float(grey == 1), 0.0]
            before = grey
    assert (batch.x[64:, :, :9] == 0).all()
    assert (batch.x[..., [0, 4]] == 0).all()  # the level 0
    assert batch.x[..., 1:4].sum() > 0


def test_the_mean_output_of_the_judged_steps_names_the_class():
    task = SequentialMNIST()
    batch = task.render(torch.arange(6), 0)
    output = torch.zeros_like(batch.y)
    output[:72] = 9 * batch.y[:72].roll(1, -1)  # not judged
    output[72] = 0.7 * batch.y[72]
    output[73:] = 0.09 * batch.y[73:].roll(1, -1)
    assert (task.judge(output, batch).score == 1).all()
    output[73:] = 0.11 * batch.y[73:].roll(1, -1)
    verdict = task.judge(output, batch)
    assert (verdict.score == 0).all()
    assert (verdict.correct == 0).all()
    error = (0.3**2 + 7 * (1 + 0.11**2)) / 10 / 8
    assert torch.allclose(verdict.reward, torch.full((6,), -error))


def test_evaluation_shows_images_that_no_search_sees():
    seen = [
        {image.numpy().tobytes() for image in task.render(torch.arange(40), trial).x[:64, :, 0].T}
        for task in (SequentialMNIST(trials=2, test_trials=2), SequentialMNIST(trials=2, test_trials=2).held_out())
        for trial in range(4)
    ]
    assert not set.union(*seen[:4]) & set.union(*seen[4:])


def test_learning_and_test_of_a_life_share_no_image():
    task = SequentialMNIST(trials=50, test_trials=50)
    index = torch.stack([task.drawn(torch.arange(3), trial).values.number for trial in range(100)])
    for lane in index.T:
        assert not set(lane[:50].tolist()) & set(lane[50:].tolist())
        assert len(lane[:50].unique()) == 50


def test_the_published_forms():
    pixels, permuted, spikes = (make("SequentialMNIST-v0", preset=name) for name in SequentialMNIST.presets)
    assert (pixels.spec.trial_steps, pixels.spec.observations) == (784, 1)
    assert isinstance(permuted, SequentialMNIST)
    assert permuted.permuted
    assert (spikes.spec.trial_steps, spikes.spec.observations) == (784 + 56, 80)
    assert spikes.render(torch.arange(2), 0).w.sum(0).tolist() == [28, 28]


def test_mnist_comes_from_the_users_folder(tmp_path):
    write_idx(tmp_path, "train", [i % 10 for i in range(9)])
    write_idx(tmp_path, "t10k", [3, 1, 4])
    task = SequentialMNIST(data="mnist", data_root=str(tmp_path), trials=6, test_trials=3)
    batch = task.render(torch.arange(4), 0)
    assert torch.equal((batch.x[0, :, 0] * 255).round().long(), batch.y[0].argmax(-1))  # image i begins with pixel i


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"data": "mnist"}, ["data_root: no folder has no train-images-idx3-ubyte"]),
        ({"data": "digit"}, ["did you mean 'digits'?"]),
        ({"judged_rows": 3}, ["judged_rows is 3, wanted at most cue_rows = 2"]),
    ],
)
def test_wrong_settings_are_told(settings, words):
    with pytest.raises(ConfigError) as caught:
        make("SequentialMNIST-v0", **settings)
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_step_is_one_graph():
    check_one_graph(("SequentialMNIST-v0", {"spikes": True, "permuted": True}))


def test_vmap_over_lifetimes_is_the_batched_life():
    task = SequentialMNIST(spikes=True)
    lifetimes = torch.arange(6).reshape(3, 2)

    def last(lifetime: torch.Tensor) -> torch.Tensor:
        state, _ = task.reset(lifetime)
        return task.step(state, state.now.y)[1].observation

    assert torch.equal(torch.vmap(last)(lifetimes), last(lifetimes))
