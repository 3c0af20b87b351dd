"""The parts of every decision kernel, in float32, with weights w[pre, post]; this text is put into each of them.

Weights lie with the presynaptic neuron first, so that a silent one (a dark pixel, a neuron below threshold) costs
nothing: its row is left out of the sum and, where the rule's change is proportional to `pre`, out of the update. Sums
run over presynaptic neurons in their order, so a result does not depend on how the loop over postsynaptic neurons is
cut into vectors.

The functions carry no annotations, so that run-time type checkers leave them to Numba.
"""

import math

import numpy as np
from numba import njit

ZERO = np.float32(0)
ONE = np.float32(1)

compiled = njit(error_model="numpy", fastmath={"contract", "nsz"})
_summed = njit(error_model="numpy", fastmath={"contract", "nsz", "reassoc"})


@compiled
def born(draw, scale, skipped, pre_count, post_count):
    """Weights w[pre, post] = draw[post, pre] * scale[post or 1, pre or 1]; the first `skipped` rows have none."""
    w = np.zeros((pre_count, post_count), np.float32)
    for j in range(skipped, pre_count):
        for i in range(post_count):
            here = j - skipped
            w[j, i] = draw[i, here] * scale[i % scale.shape[0], here % scale.shape[1]]
    return w


@compiled
def find_active(pre, pre_count, active):
    """Write the indices of the neurons that are not silent into `active`; how many."""
    count = 0
    for j in range(pre_count):
        active[count] = j
        if pre[j] != ZERO:
            count += 1
    return count


@compiled
def forward(w, pre, active, count, post_count, potential):
    """potential_i = sum_j w_ji pre_j, four presynaptic neurons at a time."""
    for i in range(post_count):
        potential[i] = ZERO
    k = 0
    while k + 4 <= count:
        j0, j1, j2, j3 = active[k], active[k + 1], active[k + 2], active[k + 3]
        x0, x1, x2, x3 = pre[j0], pre[j1], pre[j2], pre[j3]
        w0, w1, w2, w3 = w[j0], w[j1], w[j2], w[j3]
        for i in range(post_count):
            potential[i] = potential[i] + x0 * w0[i] + x1 * w1[i] + x2 * w2[i] + x3 * w3[i]
        k += 4
    while k < count:
        x, row = pre[active[k]], w[active[k]]
        for i in range(post_count):
            potential[i] = potential[i] + x * row[i]
        k += 1


@_summed
def send_down(carrier, first, feedback, post_count, below, below_count):
    """below_j = sum_i carrier[first + j, i] feedback_i."""
    for j in range(below_count):
        row = carrier[first + j]
        total = ZERO
        for i in range(post_count):
            total += row[i] * feedback[i]
        below[j] = total


@compiled
def greedy(q, actions):
    """The first of the highest values."""
    best = 0
    for k in range(1, actions):
        if q[k] > q[best]:
            best = k
    return best


@compiled
def anyone(u1, actions):
    """Every action alike."""
    return min(int(u1 * np.float32(actions)), actions - 1)


@compiled
def softmax(q, actions, temperature, chances):
    """Write the probabilities of softmax(q / temperature) into `chances`."""
    top = q[greedy(q, actions)]
    total = ZERO
    for k in range(actions):
        chances[k] = math.exp((q[k] - top) / temperature)
        total += chances[k]
    for k in range(actions):
        chances[k] = chances[k] / total


@compiled
def sample(q, actions, temperature, u1, chances):
    """The first action whose heaped probability exceeds u1."""
    softmax(q, actions, temperature, chances)
    heaped = ZERO
    for k in range(actions):
        heaped += chances[k]
        if heaped > u1:
            return k
    return actions - 1


@compiled
def chance_of(q, actions, action, chances):
    """softmax(q) of one action."""
    softmax(q, actions, ONE, chances)
    return chances[action]


@compiled
def is_finite(q, actions):
    """Whether all values are numbers."""
    total = ZERO
    for k in range(actions):
        total += q[k] * ZERO
    return total == ZERO


@compiled
def normalise_max(w, pre_count, post_count):
    """Divide by the largest |w|."""
    largest = ZERO
    for j in range(pre_count):
        for i in range(post_count):
            largest = max(largest, abs(w[j, i]))
    if largest > ZERO:
        for j in range(pre_count):
            for i in range(post_count):
                w[j, i] = w[j, i] / largest


@compiled
def normalise_row(w, pre_count, post_count):
    """Divide each postsynaptic neuron's weights by their Euclidean length."""
    length = np.zeros(post_count, np.float32)
    for j in range(pre_count):
        for i in range(post_count):
            length[i] = length[i] + w[j, i] * w[j, i]
    for i in range(post_count):
        length[i] = math.sqrt(length[i]) if length[i] > ZERO else ONE
    for j in range(pre_count):
        for i in range(post_count):
            w[j, i] = w[j, i] / length[i]
