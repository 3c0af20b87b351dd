"""The pool of three terms: each alone is a rule that is known, or what a loop makes of it."""

import torch
from driven_neurons import numbers
from tiny_lessons import key_of, lesson_of, networks

from metaplastic.inner_loop.feedback.alignment import FeedbackAlignment
from metaplastic.inner_loop.formula import to_torch
from metaplastic.inner_loop.plastic.plasticity_pool import PlasticityPool
from metaplastic.inner_loop.rules.sanger import OjaSubspace

EXACT = {"rtol": 1e-10, "atol": 1e-12}


def changes_of(rule, net, lesson):
    return rule.change(net, rule.start(net, key_of(net)), lesson)[0]


def test_its_first_term_is_feedback_alignment():
    net = networks(shrink=True)
    pool, other = PlasticityPool(theta_error=0.3), FeedbackAlignment(eta=0.3)
    found, wanted = (changes_of(rule, net, lesson_of(net, rule)) for rule in (pool, other))
    for one, two in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, two, **EXACT)


def test_its_third_term_is_ojas_subspace_rule_in_every_layer():
    net, pool = networks(), PlasticityPool(theta_error=0.0, theta_hebb=0.2)
    lesson = lesson_of(net, pool, count=1)
    rule = OjaSubspace(eta=0.2)
    for change, w, layer in zip(changes_of(pool, net, lesson), net.weights, lesson.layers, strict=True):
        signals = {"pre": layer.pre, "post": layer.post.mT}
        wanted = to_torch.step(rule.program(), numbers(rule), w, {}, signals)[0] - w
        torch.testing.assert_close(change, wanted, **EXACT)


def test_its_second_term_is_the_product_of_two_layers_errors():
    net, pool = networks(), PlasticityPool(theta_error=0.0, theta_errors=0.5, eta=2.0)
    lesson, state = lesson_of(net, pool), pool.start(net, key_of(net))
    signals = pool.signals(net, state, lesson)
    found = pool.change(net, state, lesson)[0]
    assert (found[0] == 0).all()
    for k in (1, 2):
        wanted = -2.0 * 0.5 * torch.einsum("plsi,plsj->plij", signals[k], signals[k - 1]) / lesson.x.shape[2]
        torch.testing.assert_close(found[k][..., 1:], wanted, **EXACT)
        assert (found[k][..., 0] == 0).all()
