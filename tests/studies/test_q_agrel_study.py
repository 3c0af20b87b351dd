"""The Q-AGREL study: its batch of rows is the rules one by one, its table by hand, its page from a small MNIST."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from idx_writer import write_idx
from tiny_lessons import lesson_of

from metaplastic import rng
from metaplastic.core import ConfigError
from metaplastic.inner_loop.feedback.alignment import BatchBackprop, FeedbackAlignment
from metaplastic.inner_loop.feedback.reward_gated import BatchQAgrel
from metaplastic.inner_loop.feedback.transport import named
from metaplastic.inner_loop.objectives import SquaredError
from metaplastic.studies.credit import q_agrel
from metaplastic.studies.credit.q_agrel import ROWS, QAgrelStudy, merged, onsets, order
from metaplastic.studies.credit.q_agrel_training import Protocol, Row, Trained, born, converged, train, write
from metaplastic.studies.study import Run, read_result, run_study
from metaplastic.tasks.images.pools import Pool

KEY = rng.fold(rng.root(3), torch.arange(2))


def row(rule: str, feedback: str, eta: float = 0.5) -> Row:
    return Row(rule, feedback, (7, 6), eta, 98.0, 0.1, 100)


KINDS = [
    row("Q-AGREL", "symmetric"),
    row("Q-AGREL", "learned", 0.4),
    row("Q-AGREL", "fixed", 0.3),
    row("errorBP", "symmetric", 0.2),
    row("errorBP", "fixed", 0.1),
]


def in_double(brains):
    parts = ([p.double() for p in v] if isinstance(v, list) else v.double() for v in brains[2:])
    return type(brains)(*brains[:2], *parts)


def test_a_write_of_all_rows_at_once_is_each_rows_rule():
    brains = in_double(born(KINDS, KEY, pixels=9))
    count, images = len(brains.row), 4
    x = rng.normals(rng.fold(KEY, 1), images, 9).double().repeat(len(KINDS), 1, 1)
    label = rng.below(rng.words(rng.fold(KEY, 2), images), 10).repeat(len(KINDS), 1)
    coins = torch.zeros(count, images, 2).double()
    coins[:, ::2] = 0.99  # the first and third choose greedily, the others explore
    before, net = in_double(born(KINDS, KEY, pixels=9)), brains.layers()
    output = net.forward(x[:, None])[-1].post
    explored = torch.where(coins[..., 0] < 0.02, torch.zeros_like(label), output[:, 0].argmax(-1))
    right = write(brains, x, label, coins)
    for n in range(count):
        kind = KINDS[n // 2]
        alone = before.those(torch.arange(count) == n)
        learns = {"symmetric": "symmetric", "learned": "learned", "fixed": "random"}[kind.feedback]
        here, eta = alone.layers(), alone.eta.item()
        by_error = BatchBackprop(eta=eta) if learns == "symmetric" else FeedbackAlignment(eta=eta)
        rule = BatchQAgrel(eta=eta, feedback=learns) if kind.rule == "Q-AGREL" else by_error
        lesson = lesson_of(here, rule, count=images)
        target = torch.nn.functional.one_hot(label[n], 10).double()[None, None]
        layers = here.forward(x[n][None, None])
        q, action = layers[-1].post, explored[n][None, None]
        lesson = lesson._replace(
            x=x[n][None, None], layers=layers, target=target, action=action,
            reward=(action == label[n]).double(), prediction=q.gather(-1, action[..., None])[..., 0],
            top_error=SquaredError.top_error(q, target),
        )  # fmt: skip
        state = {named(k + 1): b[:, None] for k, b in enumerate(alone.feedback)} if learns != "symmetric" else {}
        changes, after = rule.change(here, state, lesson)
        for old, change, new in zip(alone.weights, changes, brains.weights, strict=True):
            torch.testing.assert_close(new[n], (old[:, None] + change)[0, 0], rtol=1e-10, atol=1e-14)
        for k, carrier in enumerate(brains.feedback):
            wanted = brains.weights[k + 1][n] if learns == "symmetric" else after[named(k + 1)][0, 0]
            torch.testing.assert_close(carrier[n], wanted, rtol=1e-10, atol=1e-14)
        greedy = explored[n] if kind.rule == "Q-AGREL" else q[0, 0].argmax(-1)
        assert torch.equal(right[n], greedy == label[n])


def blobs(count: int) -> Pool:
    """Ten classes of 12 pixels that are easy to tell apart."""
    label = torch.arange(count) % 10
    noise = rng.uniforms(rng.fold(rng.root(1), torch.arange(count)), 12) * 60
    return Pool((noise + 190 * torch.eye(12)[label]).to(torch.uint8), label, 255)


SHORT = Protocol(images=300, validation=100, epochs=6, every=2, slower_from=4, stops=False)


def test_a_row_learns_alone_as_in_company():
    with_all = train(KINDS, SHORT, blobs(300), blobs(100), KEY, lambda _: None)
    alone = train(KINDS[1:2], SHORT, blobs(300), blobs(100), KEY[1:], lambda _: None)
    for part in ("accuracy", "course", "hits", "alignment"):
        torch.testing.assert_close(getattr(alone, part)[0, 0], getattr(with_all, part)[1, 1], rtol=1e-4, atol=1e-5)
    assert with_all.drift[[0, 3]].max() == 0  # symmetric feedback is the weights, bit by bit
    assert with_all.drift[1].max() < 1e-4
    assert (with_all.alignment[1, :, 1] > with_all.alignment[1, :, 0]).all()


def test_networks_that_have_converged_leave_and_do_not_disturb_the_others():
    long = SHORT._replace(epochs=20, every=1, stops=True, slower_from=99)
    dull = row("errorBP", "symmetric", 0.0)  # the same accuracy from the start on, on the same images of validation
    some = train([*KINDS, dull], long._replace(validation=300, images=300), blobs(300), blobs(100), KEY, lambda _: None)
    assert (some.epochs[-1] == 5).all()
    assert some.course[-1].isnan().sum(-1).tolist() == [some.course.shape[-1] - 5] * 2
    assert some.accuracy.isfinite().all()


def test_an_end_needs_five_validations_that_agree_to_a_tenth_of_a_percent():
    course = torch.tensor([[0.9, 0.912, 0.912, 0.912, 0.912, 0.912], [0.9, 0.912, 0.912, 0.913, 0.912, 0.912]])
    assert converged(course).tolist() == [True, False]
    assert converged(course[:, :5]).tolist() == [False, False]
    assert converged(course[:, 2:]).tolist() == [False, False]


def test_a_class_is_found_when_half_of_its_images_are_named():
    hits = np.array([[0.0, 0.6, 0.1], [0.5, 0.9, 0.4], [0.9, 0.3, 0.49]])
    assert onsets(hits).tolist() == [1, 0, 3]


def measured(**percent: float) -> Trained:
    """As if two seeds had come to these accuracies."""
    values = [percent[f"{row.rule[0]}_{row.feedback}"] / 100 for row in ROWS]
    count, hits = len(ROWS), torch.ones(len(ROWS), 2, 5, 10)
    hits[[row.rule == "Q-AGREL" for row in ROWS], :, :3, 9] = 0
    return Trained(
        torch.tensor(values)[:, None].repeat(1, 2),
        torch.full((count, 2), 100.0),
        torch.ones(count, 2, 5),
        hits,
        torch.tensor([0.0, 0.9]).repeat(count, 2, 1),
        torch.zeros(count, 2),
    )


def test_the_order_of_the_paper_is_accepted_and_others_are_refused():
    good = {"Q_symmetric": 98.05, "Q_learned": 98.04, "Q_fixed": 97.2, "e_symmetric": 98.14, "e_fixed": 97.84}
    for scale in ("default", "full"):
        shift = {} if scale == "full" else {"Q_fixed": 95.0, "e_fixed": 97.0}
        assert all(claim.within is not False for claim in order(measured(**{**good, **shift}), scale))

    def refused(**other):
        return {claim.what for claim in order(measured(**{**good, **other}), "full") if claim.within is False}

    assert refused(Q_learned=97.5) >= {"Q-AGREL: learned less symmetric feedback, %"}
    assert refused(Q_fixed=98.0) == {"Q-AGREL: learned less fixed feedback, %"}
    assert refused(e_fixed=98.2) == {"errorBP at rate 0.1: less that with fixed feedback, %"}
    assert "errorBP less Q-AGREL, symmetric, %" in refused(e_symmetric=98.9)


def test_rows_come_back_in_the_order_of_the_table():
    parts = []
    for shape in q_agrel.SHAPES:
        mine = [index for index, row in enumerate(ROWS) if row.hidden == shape]
        epochs = len(shape) + 2
        nothing = torch.zeros(8, 1)
        course, hits = torch.zeros(8, 1, epochs), torch.zeros(8, 1, epochs, 10)
        accuracy = torch.tensor(mine).float()[:, None]
        parts.append(Trained(accuracy, nothing, course, hits, torch.zeros(8, 1, 2), nothing))
    whole = merged(parts)
    assert whole.accuracy[:, 0].tolist() == list(range(16))
    assert whole.course.shape == (16, 1, 4)
    assert whole.course.isnan().any(-1)[:, 0].tolist() == [row.hidden == (300,) for row in ROWS]


def test_a_quick_look_writes_its_page(tmp_path, monkeypatch):
    data = tmp_path / "mnist"
    data.mkdir()
    for prefix, count in (("train", 40), ("t10k", 20)):
        write_idx(data, prefix, [k % 10 for k in range(count)])
    protocol = Protocol(images=40, validation=10, epochs=2, every=1, slower_from=9, stops=False)
    monkeypatch.setitem(q_agrel.PROTOCOLS, "quick", protocol)
    run = Run(tmp_path / "study", seeds=3, scale="quick", say=lambda _: None, data_root=data)
    result = run_study(QAgrelStudy(), run)
    assert {"page.html", "q-agrel.svg"} <= {file.name for file in run.out.iterdir()}
    numbers = read_result(run.out)["numbers"]
    assert np.shape(numbers["hits"]) == (16, 1, 2, 10)
    assert [claim.within for claim in result.claims[:16]] == [None] * 16
    with pytest.raises(ConfigError, match="use --data-root"):
        run_study(QAgrelStudy(), replace(run, out=tmp_path / "other", data_root=None))
    with pytest.raises(ConfigError, match="data_root: "):
        run_study(QAgrelStudy(), replace(run, out=tmp_path / "third", data_root=tmp_path))
