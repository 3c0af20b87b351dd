"""Foraging on a grid: moves, eating, growing, what is seen, and the oracle's ways, by hand and by search."""

from collections import deque
from itertools import combinations

import numpy as np
import pytest
import torch
from one_graph import check_one_graph

from metaplastic.core import ConfigError
from metaplastic.tasks.navigation.forage_grid import ForageGrid, Ground, _routes, nearest
from metaplastic.tasks.registry import make

FORWARD, LEFT, RIGHT = range(3)
UP, EAST, DOWN, WEST = range(4)
SIZE = 7


def put(task: ForageGrid, at: tuple[int, int], heading: int, first, second, good: int = 0, lives: int = 3):
    """A state with the agent and the items at (row, column)."""
    state, _ = task.reset(torch.arange(lives))
    cells = torch.tensor([[r * task.size + c for r, c in kind] for kind in (first, second)])
    here, zero = torch.full((lives,), at[0] * task.size + at[1]), torch.zeros(lives)
    ground = Ground(
        here, torch.full((lives,), heading), cells.expand(lives, -1, -1).contiguous(), here * 0 + good, zero
    )
    return state._replace(world=ground)


def act(task: ForageGrid, state, action: int):
    return task.step(state, torch.full_like(state.trial, action))


FAR = [(6, 6)]


@pytest.mark.parametrize(("heading", "to"), [(UP, (6, 3)), (EAST, (0, 4)), (DOWN, (1, 3)), (WEST, (0, 2))])
def test_forward_leads_to_the_next_cell_round_the_torus(heading, to):
    task = ForageGrid(size=SIZE, items=1)
    state, now = act(task, put(task, (0, 3), heading, [(4, 0)], FAR), FORWARD)
    assert (state.world.cell == to[0] * SIZE + to[1]).all()
    assert not now.reward.any()


def test_turns_change_the_heading_alone():
    task = ForageGrid(size=SIZE, items=1)
    state = put(task, (0, 3), UP, [(4, 0)], FAR)
    for action, headings in ((LEFT, (3, 2, 1, 0)), (RIGHT, (1, 2, 3, 0))):
        for heading in headings:
            state, _ = act(task, state, action)
            assert (state.world.heading == heading).all()
            assert (state.world.cell == 3).all()


@pytest.mark.parametrize(("good", "paid"), [(0, 1.0), (1, -1.0)])
def test_eating_pays_by_kind_and_the_item_grows_elsewhere(good, paid):
    task = ForageGrid(size=SIZE, items=2, trials=1, steps=50)
    state = put(task, (3, 3), EAST, [(3, 4), (0, 0)], [(5, 5), (6, 6)], good, lives=500)
    state, now = act(task, state, FORWARD)
    assert (now.reward == paid).all()
    items = state.world.items.flatten(1)
    assert (items[:, 1:] == torch.tensor([0, 40, 48])).all()
    counts = items[:, 0].bincount(minlength=49)
    assert not counts[[25, 0, 40, 48]].any()
    assert (counts[[n for n in range(49) if n not in (25, 0, 40, 48)]] > 0).all()  # 45 cells, 500 draws
    mirrored = put(task, (5, 4), EAST, [(3, 4), (0, 0)], [(5, 5), (6, 6)], good)
    assert (act(task, mirrored, FORWARD)[1].reward == -paid).all()


def test_an_empty_cell_is_any_but_those_of_items_each_once():
    task = ForageGrid(size=5, items=2)
    taken = [0, 7, 8, 24]
    items = torch.tensor(taken)[torch.tensor([2, 0, 3, 1])].reshape(1, 2, 2).expand(21, -1, -1)
    words = torch.tensor([int((k + 0.5) / 21 * 2**64) - (2**64 if (k + 0.5) / 21 >= 0.5 else 0) for k in range(21)])
    assert task.empty(words, items).tolist() == [n for n in range(25) if n not in taken]


def test_items_never_share_a_cell():
    task = ForageGrid(size=5, items=6, steps=100, trials=2)
    lives = torch.arange(50)
    policy = task.random_policy(lives)
    state, now = task.reset(lives)
    eaten = torch.zeros(50)
    for _ in range(150):
        state, now = task.step(state, policy(state, now.observation))
        eaten += now.reward.abs()
        cells = torch.cat((state.world.items.flatten(1), state.world.cell[:, None]), 1).sort(1).values
        assert (cells.diff(dim=1) > 0).all()
    assert eaten.min() > 5


def test_the_view_is_turned_so_that_the_agent_looks_up():
    task = ForageGrid(size=9, items=2, view=5, feedback=False)
    first, second = [(4, 6), (3, 4)], [(8, 4), (2, 2)]  # seen from (4, 4) heading east: 2 ahead; 1 left; not; 2 left
    seen = task.observe(put(task, (4, 4), EAST, first, second))[0].reshape(2, 5, 5)
    assert seen[0].nonzero().tolist() == [[0, 2], [2, 1]]
    assert seen[1].nonzero().tolist() == [[4, 0]]  # 2 behind, 2 to the left
    seen = task.observe(put(task, (4, 4), WEST, first, second))[0].reshape(2, 5, 5)
    assert seen[0].nonzero().tolist() == [[2, 3], [4, 2]]
    seen = task.observe(put(task, (8, 0), DOWN, [(0, 8), (3, 4)], [(1, 0), (4, 4)]))[0].reshape(2, 5, 5)
    assert seen[0].nonzero().tolist() == [[1, 3]]  # round the torus: 1 ahead, 1 to the right
    assert seen[1].nonzero().tolist() == [[0, 2]]


def test_roles_are_a_coin_and_are_reversed_at_even_distances():
    task = ForageGrid(trials=6, test_trials=2, reversals=2)
    state, _ = task.reset(torch.arange(400))
    good = [task._begun(state.key, state.life, torch.full_like(state.trial, n), None).good for n in range(8)]
    assert abs(good[0].double().mean() - 0.5) < 0.1
    assert [bool((one != good[0]).all()) for one in good] == [False, False, True, True, False, False, False, False]
    assert all((one == good[0]).all() for one in (good[1], *good[4:]))
    fixed = ForageGrid(trials=6)
    assert all((fixed._begun(state.key, state.life, state.trial + n, None).good == good[0]).all() for n in range(6))


def steps_by_search(ahead: int, right: int) -> int:
    """Fewest actions to a cell, by breadth first search over places and headings."""
    seen, queue = {(0, 0, 0): 0}, deque([(0, 0, 0)])
    while queue:
        y, x, h = here = queue.popleft()
        if (y, x) == (ahead, right):
            return seen[here]
        dy, dx = [(1, 0), (0, 1), (-1, 0), (0, -1)][h]
        for there in ((y + dy, x + dx, h), (y, x, (h + 1) % 4), (y, x, (h + 3) % 4)):
            if there not in seen:
                seen[there] = seen[here] + 1
                queue.append(there)
    raise AssertionError


def test_the_cheaper_route_is_a_shortest_one():
    places = [(y, x) for y in range(-3, 4) for x in range(-3, 4) if (y, x) != (0, 0)]
    y, x = torch.tensor(places).T
    far = torch.full((1, 1, 48), 9)
    cost, _ = _routes(y[None], x[None], far, far)
    assert cost.reshape(2, -1).amin(0).tolist() == [steps_by_search(*place) for place in places]


def test_the_oracle_needs_as_many_steps_as_it_thinks():
    task = ForageGrid(size=11, items=1, steps=40)
    lives = torch.arange(1000)
    state, now = task.reset(lives)
    ahead, right = task.around(state.world)
    good = state.world.good
    y, x = (both[lives, good] for both in (ahead, right))
    bad_y, bad_x = (both[lives, 1 - good][:, None] for both in (ahead, right))
    wanted = _routes(y, x, bad_y, bad_x)[0].amin(-1)
    toll = wanted - _routes(y, x, bad_y + 99, bad_x)[0].amin(-1) == 5
    assert 0 < toll.sum() < 40
    assert ((y == 0) | (x == 0))[toll].all()  # where there are two routes, one has no toxic item
    when = torch.zeros(1000, dtype=torch.int64)
    for n in range(1, 40):
        state, now = task.step(state, task.oracle(state))
        when = torch.where((when == 0) & (now.reward != 0), n, when)
        assert (now.reward[(when == n) & ~toll] > 0).all()
    assert torch.equal(when[~toll], wanted[~toll])


def test_the_oracle_walks_round_a_toxic_item():
    task = ForageGrid(size=9, items=1)
    # two to the right and one ahead; the corner straight first is toxic, then the one to the side first
    for bad, action in (((3, 4), RIGHT), ((4, 5), FORWARD)):
        state = put(task, (4, 4), UP, [(3, 6)], [bad])
        assert (task.oracle(state) == action).all()
        eaten = torch.zeros(3)
        for _ in range(5):
            state, now = task.step(state, task.oracle(state))
            eaten += now.reward
            assert (now.reward >= 0).all()
        assert (eaten >= 1).all()


def test_most_is_what_nearest_items_allow_by_counting_all_cases():
    cells = [(r, c) for r in range(-2, 3) for c in range(-2, 3) if (r, c) != (0, 0)]
    moves = [abs(r) + abs(c) for r, c in cells]
    pairs = list(combinations(moves, 2))
    assert nearest(5, 2) == pytest.approx(sum(map(min, pairs)) / len(pairs))


def test_scores_are_half_and_half_of_the_net_by_hand():
    task = ForageGrid(size=SIZE, items=2, trials=1, steps=1)
    most = 1 / nearest(SIZE, 2)
    state = put(task, (3, 3), EAST, [(3, 4), (0, 0)], [(5, 5), (6, 6)])
    assert act(task, state, FORWARD)[1].info.score[0] == pytest.approx(min(1.0, (1 + 1 / most) / 2))
    assert act(task, state, LEFT)[1].info.score[0] == pytest.approx(0.5)


def test_knowing_the_roles_is_what_pays():
    task = ForageGrid(trials=1)
    lives = torch.arange(60)

    def score(policy) -> float:
        return task.rollout(policy, lives, 200).info.score[-1].double().mean().item()

    mistaken = score(lambda state, _: task.target(state.life, state.world._replace(good=1 - state.world.good)))
    assert mistaken < 0.3
    assert score(task.oracle_policy()) == pytest.approx(task.spec.ceiling, abs=0.02)
    chance = task.rollout(task.random_policy(lives), lives, 200).info.score[-1].double()
    assert abs(chance.mean() - 0.5) < 4 * chance.std() / np.sqrt(60)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"size": 14}, "size is 14, wanted an odd number; use 15"),
        ({"view": 4}, "view is 4, wanted an odd number; use 5"),
        ({"size": 5, "view": 7, "items": 2}, "view is 7 cells, wanted at most size = 5"),
        ({"items": 60}, "items is 60 of each kind, wanted at most 56, so that half of the 225 cells stay empty"),
    ],
)
def test_wrong_settings_name_what_was_wanted(settings, words):
    with pytest.raises(ConfigError) as caught:
        make("ForageGrid-v0", **settings)
    assert words in str(caught.value)


def test_presets_differ_in_reversals():
    for preset, count in (("fixed", 0), ("reversal", 1)):
        task = make("ForageGrid-v0", preset=preset)
        assert isinstance(task, ForageGrid)
        assert (task.reversals, task.size, task.view) == (count, 15, 5)


def test_a_step_is_one_graph():
    check_one_graph(("ForageGrid-v0", {"reversals": 1}))
