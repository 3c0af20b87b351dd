"""What becomes of a piece that cost a worker, and how long one may take; by hand, without Ray."""

from collections import Counter

import pytest

from metaplastic.platform.faults import Limits, Loss, Patience, Piece, again

DIED, HUNG = Loss("died", "", ""), Loss("hung", "", "")


def test_a_piece_may_cost_three_workers_its_halves_two():
    faults = Counter()
    piece = Piece(4, 7)
    for _ in range(2):
        (piece,) = again(piece, DIED, 3, faults)
        assert piece[:2] == (4, 7)
    halves = again(piece, DIED, 3, faults)
    assert [half[:2] for half in halves] == [(4, 5), (5, 7)]
    (alone,) = again(halves[0], DIED, 3, faults)
    assert again(alone, DIED, 3, faults) == []
    assert faults == {"retries": 3, "bisected": 1}


def test_a_piece_that_hangs_is_cut_after_two_and_alone_it_has_two_more():
    faults = Counter()
    (piece,) = again(Piece(0, 2), HUNG, 3, faults)
    first, second = again(piece, HUNG, 3, faults)
    assert (first.hung, second.hung) == (1, 1)  # so each has twice the time
    (alone,) = again(first, HUNG, 3, faults)
    assert again(alone, HUNG, 3, faults) == []


def test_every_individual_of_a_piece_is_somewhere_until_one_is_at_fault():
    queue, done, faults = [Piece(0, 11)], set(), Counter()
    while queue:
        piece = queue.pop()
        if not piece.first <= 6 < piece.last:
            done |= set(range(piece.first, piece.last))
            continue
        more = again(piece, DIED, 3, faults)
        assert more or piece[:2] == (6, 7)
        queue += more
    assert done == set(range(11)) - {6}


def test_the_limit_is_a_multiple_of_the_median_not_below_the_floor_and_the_first_chunk_has_grace():
    limits = Limits(Patience(multiple=10, floor=2, grace=50))
    assert limits.seconds(is_first=True) == limits.seconds(is_first=False) == 50
    limits.add(3.0, is_first=True)
    assert limits.seconds(is_first=True) == limits.seconds(is_first=False) == 30
    for seconds in (0.5, 0.4, 9.0):
        limits.add(seconds, is_first=False)
    assert limits.seconds(is_first=False) == pytest.approx(5)
    assert limits.seconds(is_first=True) == 30
    for _ in range(4):
        limits.add(0.01, is_first=False)
    assert limits.seconds(is_first=False) == 2
