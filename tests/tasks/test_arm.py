"""The planar arm: by hand, against Lagrange's equations made by autograd, and by conserved energy."""

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from metaplastic.tasks.motor.arm import (
    BODIES,
    LIMITS,
    Segments,
    acceleration,
    angles_at,
    coriolis,
    energy,
    friction,
    hand,
    hand_velocity,
    jacobian,
    mass_matrix,
    moved,
    torque_for,
    torque_of,
)

EVERY = pytest.mark.parametrize("body", BODIES.values(), ids=list(BODIES))


def poses(count: int = 7, dtype: torch.dtype = torch.float64) -> Tensor:
    """Angles over all of the range [count^2, 2]."""
    shoulder, elbow = (torch.linspace(0.02, limit - 0.02, count, dtype=dtype) for limit in LIMITS)
    return torch.cartesian_prod(shoulder, elbow)


def spins_of(angles: Tensor) -> Tensor:
    """Some velocities, all different."""
    return torch.stack(((3 * angles[:, 0]).cos() * 4, (5 * angles[:, 1]).sin() * 6 - 1), -1)


def lagrangian(body: Segments, angles: Tensor, spins: Tensor) -> Tensor:
    """The kinetic energy, from the velocities of the centres of mass alone."""
    (m1, m2), (i1, i2), (l1, _), (s1, s2) = body.mass, body.inertia, body.length, body.centre
    both, turning = angles.sum(-1), spins.sum(-1)
    upper = s1 * spins[..., 0]
    x = -l1 * angles[..., 0].sin() * spins[..., 0] - s2 * both.sin() * turning
    y = l1 * angles[..., 0].cos() * spins[..., 0] + s2 * both.cos() * turning
    linear = m1 * upper.square() + m2 * (x.square() + y.square())
    return (linear + i1 * spins[..., 0].square() + i2 * turning.square()) / 2


def test_the_mass_matrix_by_hand():
    m11, m12, m22 = mass_matrix(BODIES["motornet"], torch.tensor([[0.3, math.pi / 2], [0.3, 0.0]]))
    a1 = 0.013193 + 0.020062 + 1.864572 * 0.180496**2 + 1.534315 * (0.309**2 + 0.181479**2)
    a2, a3 = 1.534315 * 0.309 * 0.181479, 0.020062 + 1.534315 * 0.181479**2
    assert m11.tolist() == pytest.approx([a1, a1 + 2 * a2])
    assert m12.tolist() == pytest.approx([a3, a3 + a2])
    assert m22 == pytest.approx(a3)


@EVERY
def test_the_mass_matrix_is_positive_definite_and_gives_the_energy_of_the_segments(body):
    angles = poses()
    m11, m12, m22 = mass_matrix(body, angles)
    assert (m11 > 0).all()
    assert (m11 * m22 - m12.square() > 0).all()
    spins = spins_of(angles)
    torch.testing.assert_close(energy(body, angles, spins), lagrangian(body, angles, spins))


@EVERY
def test_torques_are_those_of_lagranges_equations(body):
    angles = poses().requires_grad_()
    spins, bend = spins_of(angles.detach()).requires_grad_(), torch.tensor([3.0, -2.0], dtype=torch.float64)
    bend = bend.expand(angles.shape)
    total = lagrangian(body, angles, spins).sum()
    slope, momentum = torch.autograd.grad(total, (angles, spins), create_graph=True)
    rates = []
    for joint in (0, 1):
        along, across = torch.autograd.grad(momentum[:, joint].sum(), (angles, spins), retain_graph=True)
        rates.append((along * spins + across * bend).sum(-1))
    wanted = torch.stack(rates, -1) - slope + friction(body, spins)
    torch.testing.assert_close(torque_for(body, angles, spins, bend), wanted)


@EVERY
def test_acceleration_is_the_inverse_of_the_torque_for_it(body):
    angles = poses()
    spins, bend = spins_of(angles), spins_of(angles.flip(0)) * 3
    torch.testing.assert_close(acceleration(body, angles, spins, torque_for(body, angles, spins, bend)), bend)


def test_coriolis_torques_by_hand():
    found = coriolis(BODIES["motornet"], torch.tensor([0.2, math.pi / 2]), torch.tensor([2.0, 3.0]))
    a2 = 1.534315 * 0.309 * 0.181479
    assert found.tolist() == pytest.approx([-a2 * 3 * (2 * 2 + 3), a2 * 4])


def drift(seconds: float) -> float:
    """The relative error of the energy after .25 s without torque."""
    body = BODIES["motornet"]
    angles, spins = torch.tensor([0.7, 1.2], dtype=torch.float64), torch.tensor([2.0, -3.0], dtype=torch.float64)
    first = energy(body, angles, spins)
    for _ in range(round(0.25 / seconds)):
        angles, spins = moved(body, angles, spins, torch.zeros_like(angles), seconds)
    assert (angles > 0).all()
    assert (angles < torch.tensor(LIMITS)).all()
    return (energy(body, angles, spins) / first - 1).abs().item()


def test_energy_is_kept_without_friction_and_torque_to_the_first_order_of_the_step():
    errors = [drift(seconds) for seconds in (1e-3, 5e-4, 2.5e-4)]
    assert errors[2] < 2e-3
    assert [one / other for one, other in pairwise(errors)] == pytest.approx([2, 2], rel=0.05)


def test_friction_takes_energy():
    body = BODIES["todorov"]
    spins = spins_of(poses())
    assert friction(body, torch.tensor([2.0, 1.0])).tolist() == pytest.approx([0.125, 0.1])
    assert ((friction(body, spins) * spins).sum(-1) > 0).all()


def test_the_hand_by_hand():
    body = BODIES["motornet"]
    assert hand(body, torch.tensor([0.0, math.pi / 2])).tolist() == pytest.approx([0.309, 0.26])
    assert hand(body, torch.tensor([math.pi / 2, 0.0])).tolist() == pytest.approx([0.0, 0.569], abs=1e-7)


@EVERY
def test_angles_lead_to_the_hand_and_back(body):
    angles = poses(11)
    torch.testing.assert_close(angles_at(body, hand(body, angles)), angles)


def test_too_far_a_place_gives_the_stretched_arm_in_its_direction():
    angles = angles_at(BODIES["motornet"], torch.tensor([0.0, 5.0]))
    assert angles.tolist() == pytest.approx([math.pi / 2, 0.0])


@EVERY
def test_the_jacobian_is_the_derivative_of_the_hand(body):
    angles = poses(5)
    exact = torch.stack([torch.autograd.functional.jacobian(lambda q: hand(body, q), one) for one in angles])  # pyright: ignore[reportArgumentType]
    torch.testing.assert_close(torch.stack(jacobian(body, angles), -1).reshape(-1, 2, 2), exact)
    spins, force = spins_of(angles), spins_of(angles.flip(0))
    torch.testing.assert_close(hand_velocity(body, angles, spins), (exact @ spins[..., None])[..., 0])
    torch.testing.assert_close(torque_of(body, angles, force), (exact.mT @ force[..., None])[..., 0])


def test_a_joint_stops_at_its_limit_and_can_leave_it():
    body, still = BODIES["motornet"], torch.zeros(2)
    angles, spins = moved(body, torch.tensor([LIMITS[0] - 0.01, 0.01]), torch.tensor([5.0, -9.0]), still, 0.01)
    assert angles.tolist() == pytest.approx([LIMITS[0], 0.0])
    assert spins.tolist() == [0.0, 0.0]
    angles, spins = moved(body, angles, spins, torch.tensor([-20.0, 10.0]), 0.01)
    assert angles[0] < LIMITS[0]
    assert angles[1] > 0
