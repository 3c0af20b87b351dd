"""Gated recurrent cells with their derivatives, one set of weights an agent.

    z_t = [x_t, h_{t-1}];   a = W z_t + b, four blocks of H rows

    LSTM (Hochreiter & Schmidhuber 1997; Gers et al. 2000)        GRU (Cho et al. 2014, reset after the product)
    i, f, o = sigmoid(a_1), sigmoid(a_2), sigmoid(a_3)            r, u = sigmoid(a_1), sigmoid(a_2)
    g = tanh(a_4)                                                 n = tanh(a_3 + r a_4)                          (1)
    c_t = f c_{t-1} + i g                                         h_t = (1 - u) n + u h_{t-1}                    (2)
    h_t = o tanh(c_t)                                             a_3 reads x_t alone, a_4 reads h_{t-1} alone   (3)

A cell is run in place on tapes [P, T, B, ...]: what the backward pass needs is what the forward pass leaves there. The
derivatives are written out (a test holds them to autograd's in float64): a step of autograd costs many times the step.
On a CPU in float32 the same equations run as `cell_kernels.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

GATES = 4
"""blocks of H rows of W; G = 4 H below, XH = X + H, T1 = T + 1"""


class Shown(NamedTuple):
    """What a cell leaves behind at one step; views of the tapes, written in place."""

    gates: Float[Tensor, "P B G"]
    """before `run` the sums a, after it what (1) makes of them"""
    squashed: Float[Tensor, "P B H"]
    """LSTM: tanh(c_t); GRU: n"""
    cell: Float[Tensor, "P B H"]
    """c_t (GRU: unused)"""
    hidden: Float[Tensor, "P B H"]
    """h_t"""


class Cell(ABC):
    """One step forward, and one step back."""

    kind: ClassVar[str]
    carries: ClassVar[bool]
    """it has a state c beside h"""

    @staticmethod
    @abstractmethod
    def run(now: Shown, cell: Float[Tensor, "P B H"], hidden: Float[Tensor, "P B H"]) -> None:
        """h_t and c_t from the sums in `now.gates` and the state before, in place."""

    @staticmethod
    @abstractmethod
    def back(
        now: Shown,
        cell: Float[Tensor, "P B H"],
        hidden: Float[Tensor, "P B H"],
        d_hidden: Float[Tensor, "P B H"],
        d_cell: Float[Tensor, "P B H"],
        d_sums: Float[Tensor, "P B G"],
    ) -> tuple[Float[Tensor, "P B H"] | None, Float[Tensor, "P B H"]]:
        """Derivatives by the sums, into `d_sums`; and by h_{t-1} where it enters directly (or None) and by c_{t-1}."""

    @staticmethod
    def reads(inputs: int, units: int) -> Float[Tensor, "G XH"] | None:
        """1 where W may be other than 0; None: everywhere."""
        del inputs, units


class LSTMCell(Cell):
    """Equations (1) to (3), left."""

    kind = "lstm"
    carries = True

    @staticmethod
    def run(now: Shown, cell: Tensor, hidden: Tensor) -> None:  # noqa: ARG004
        """i, f, o, g; c_t; h_t."""
        h = cell.shape[-1]
        now.gates[..., : 3 * h].sigmoid_()
        now.gates[..., 3 * h :].tanh_()
        i, f, o, g = now.gates.split(h, -1)
        torch.mul(f, cell, out=now.cell).addcmul_(i, g)
        torch.tanh(now.cell, out=now.squashed)
        torch.mul(o, now.squashed, out=now.hidden)

    @staticmethod
    def back(
        now: Shown,
        cell: Tensor,
        hidden: Tensor,  # noqa: ARG004
        d_hidden: Tensor,
        d_cell: Tensor,
        d_sums: Tensor,
    ) -> tuple[None, Tensor]:
        """d_o = d_h tanh(c) o (1 - o), and so on."""
        h = cell.shape[-1]
        i, f, o, g = now.gates.split(h, -1)
        into = d_sums.split(h, -1)
        d = torch.addcmul(d_cell, d_hidden * o, 1 - now.squashed * now.squashed)
        torch.mul(d * g, i - i * i, out=into[0])
        torch.mul(d * cell, f - f * f, out=into[1])
        torch.mul(d_hidden * now.squashed, o - o * o, out=into[2])
        torch.mul(d * i, 1 - g * g, out=into[3])
        return None, d * f


class GRUCell(Cell):
    """Equations (1) to (3), right."""

    kind = "gru"
    carries = False

    @staticmethod
    def run(now: Shown, cell: Tensor, hidden: Tensor) -> None:  # noqa: ARG004
        """r, u, n; h_t."""
        h = hidden.shape[-1]
        now.gates[..., : 2 * h].sigmoid_()
        r, u, x, m = now.gates.split(h, -1)
        torch.addcmul(x, r, m, out=now.squashed).tanh_()
        torch.addcmul(now.squashed, u, hidden - now.squashed, out=now.hidden)

    @staticmethod
    def back(
        now: Shown,
        cell: Tensor,  # noqa: ARG004
        hidden: Tensor,
        d_hidden: Tensor,
        d_cell: Tensor,
        d_sums: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """d_n = d_h (1 - u), and so on."""
        h = hidden.shape[-1]
        r, u, _, m = now.gates.split(h, -1)
        n, into = now.squashed, d_sums.split(h, -1)
        torch.mul(d_hidden * (1 - u), 1 - n * n, out=into[2])
        torch.mul(into[2] * m, r - r * r, out=into[0])
        torch.mul(d_hidden * (hidden - n), u - u * u, out=into[1])
        torch.mul(into[2], r, out=into[3])
        return d_hidden * u, d_cell

    @staticmethod
    def reads(inputs: int, units: int) -> Tensor:
        """The third block reads the input alone, the fourth the state alone."""
        mask = torch.ones(GATES, units, inputs + units)
        mask[2, :, inputs:] = 0
        mask[3, :, :inputs] = 0
        return mask.reshape(GATES * units, -1)


CELLS: dict[str, type[Cell]] = {"lstm": LSTMCell, "gru": GRUCell}
"""kind of the network -> its cell"""


class Tape(NamedTuple):
    """Everything that one core of all agents did in T steps; filled by a rollout, read by the backward pass."""

    z: Float[Tensor, "P T B XH"]
    """[x_t, h_{t-1}]"""
    gates: Float[Tensor, "P T B G"]
    squashed: Float[Tensor, "P T B H"]
    cell: Float[Tensor, "P T1 B H"]
    """row t is c_{t-1}, the last one that of the end"""
    hidden: Float[Tensor, "P T1 B H"]
    """row t is h_{t-1}"""

    @classmethod
    def blank(cls, agents: int, steps: int, lanes: int, inputs: int, units: int, like: Tensor) -> Tape:
        """Room for T steps; the first states are 0."""
        z = like.new_empty(agents, steps, lanes, inputs + units)
        gates = like.new_empty(agents, steps, lanes, GATES * units)
        squashed = like.new_empty(agents, steps, lanes, units)
        cell, hidden = (like.new_empty(agents, steps + 1, lanes, units) for _ in range(2))
        return cls(z, gates, squashed, cell, hidden).rewound()

    def rewound(self) -> Tape:
        """The same room, with first states of 0."""
        self.cell[:, 0], self.hidden[:, 0] = 0, 0
        return self

    def at(self, step: int) -> Shown:
        """The views of one step."""
        return Shown(self.gates[:, step], self.squashed[:, step], self.cell[:, step + 1], self.hidden[:, step + 1])

    @property
    def fused(self) -> bool:
        """The Numba kernels can do it."""
        return self.z.device.type == "cpu" and self.z.dtype == torch.float32

    def arrays(self) -> tuple[np.ndarray, ...]:
        """What a kernel is given."""
        return self.gates.numpy(), self.squashed.numpy(), self.cell.numpy(), self.hidden.numpy()


def advance(
    cell: type[Cell], tape: Tape, step: int, weight: Float[Tensor, "P G XH"], bias: Float[Tensor, "P G"]
) -> Float[Tensor, "P B H"]:
    """h_t of all agents, from the input that lies in the tape; without autograd."""
    z = tape.z[:, step]
    z[..., -tape.hidden.shape[-1] :] = tape.hidden[:, step]
    torch.baddbmm(bias[:, None], z, weight.mT, out=tape.gates[:, step])
    if tape.fused:
        kernels(cell)[0](step, *tape.arrays())
    else:
        cell.run(tape.at(step), tape.cell[:, step], tape.hidden[:, step])
    return tape.hidden[:, step + 1]


def kernels(cell: type[Cell]) -> tuple[Any, Any]:
    """The fused forward and backward step of a cell."""
    from metaplastic.inner_loop.agents.cell_kernels import KERNELS

    return KERNELS[cell.kind]


def sums_back(
    cell: type[Cell], tape: Tape, weight: Float[Tensor, "P G XH"], d_hidden: Float[Tensor, "P T B H"]
) -> tuple[Float[Tensor, "P T B G"], Float[Tensor, "P B H"], Float[Tensor, "P B H"]]:
    """Derivatives by all the sums a, and by the first h and c.

    The fused kernels write them over the tape's gates, which are used up: memory that is new every time costs more.
    """
    recurrent = weight[:, :, -tape.hidden.shape[-1] :].contiguous()
    d_state, d_cell = torch.zeros_like(tape.hidden[:, 0]), torch.zeros_like(tape.hidden[:, 0])
    if tape.fused:
        back, d_hidden = kernels(cell)[1], d_hidden.contiguous()
        given = *tape.arrays(), d_hidden.numpy(), d_state.numpy(), d_cell.numpy()
        for step in reversed(range(tape.z.shape[1])):
            back(step, *given)
            torch.baddbmm(d_state, tape.gates[:, step], recurrent, out=d_state)
        return tape.gates, d_state, d_cell
    d_sums = torch.empty_like(tape.gates)
    for step in reversed(range(tape.z.shape[1])):
        into, before = d_sums[:, step], (tape.cell[:, step], tape.hidden[:, step])
        direct, d_cell = cell.back(tape.at(step), *before, d_hidden[:, step] + d_state, d_cell, into)
        d_state = torch.bmm(into, recurrent)
        if direct is not None:
            d_state += direct
    return d_sums, d_state, d_cell


class Unrolled(torch.autograd.Function):
    """The hidden states of a tape as a function of the weights and the first state: backpropagation through time."""

    @staticmethod
    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: torch.autograd.function.FunctionCtx,
        weight: Float[Tensor, "P G XH"],
        bias: Float[Tensor, "P G"],  # noqa: ARG004
        first: Float[Tensor, "P H"],  # noqa: ARG004
        first_cell: Float[Tensor, "P H"],  # noqa: ARG004
        kind: type[Cell],
        tape: Tape,
    ) -> Float[Tensor, "P T B H"]:
        """Nothing is computed again: the states are those of the tape."""
        ctx.save_for_backward(weight)
        ctx.kind, ctx.tape = kind, tape  # pyright: ignore[reportAttributeAccessIssue]
        return tape.hidden[:, 1:]

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, d_hidden: Tensor):  # pyright: ignore[reportIncompatibleMethodOverride]
        """Derivatives by weight, bias and first states."""
        (weight,) = ctx.saved_tensors  # pyright: ignore[reportAttributeAccessIssue]
        kind, tape = ctx.kind, ctx.tape  # pyright: ignore[reportAttributeAccessIssue]
        units = tape.hidden.shape[-1]
        d_sums, d_state, d_cell = sums_back(kind, tape, weight, d_hidden)
        flat = d_sums.flatten(1, 2)
        d_weight = torch.bmm(flat.mT, tape.z.flatten(1, 2))
        reads = kind.reads(tape.z.shape[-1] - units, units)
        if reads is not None:
            d_weight *= reads.to(d_weight)
        return d_weight, flat.sum(1), d_state.sum(1), d_cell.sum(1), None, None
