"""Small recurrent networks in float64 and the same networks as plain loops that autograd can follow."""

import torch

from metaplastic import rng
from metaplastic.core import TaskSpec
from metaplastic.inner_loop.networks.leaky_rnn import Leaky, LeakyRNN
from metaplastic.inner_loop.networks.recurrent import GROUPS
from metaplastic.inner_loop.networks.spiking import Spiking, SpikingRNN
from metaplastic.inner_loop.rules.sequence import Trials

P, L, S, T, N, I, A = 2, 1, 3, 11, 5, 4, 2  # noqa: E741
LIKE = torch.zeros((), dtype=torch.float64)
KEY = rng.lifetime_keys(11, torch.arange(L), rng.INIT)
SPEC = TaskSpec("Small-v0", {}, I, A, "readout", 1.0, T, 2, 0.5, 1.0, 0.9)


def normals(number, *shape):
    return rng.normals(rng.fold(rng.root(5), number), *shape).to(LIKE)


def trials(steps=T, spikes=False, streams=S):
    x = normals(1, steps, L, streams, I)
    x = (x > 0.3).to(LIKE) if spikes else x
    y = normals(2, steps, L, streams, A).softmax(-1)
    y = (y == y.amax(-1, keepdim=True)).to(LIKE)
    w = normals(3, steps, L, streams).abs()
    whole = torch.full((L, streams), steps)
    return Trials(x, y, w, torch.zeros(steps, L, streams, dtype=torch.int64), whole)


def leaky(**options):
    """A network, and its state with a different readout and recurrent weights for each individual."""
    network = LeakyRNN(units=N, tau=3.0, input_gain=0.7, readout_gain=1.0, start=0.4, bias=True, **options)
    return network, different(network.born(SPEC, P, KEY, LIKE))


def spiking(**options):
    """A network that spikes a lot, of LIF and ALIF neurons."""
    given = {"units": N, "tau": 6.0, "tau_adaptation": 30.0, "refractory": 2.0, "input_gain": 1.5, "adaptive": 0.6}
    network = SpikingRNN(**{**given, **options})
    return network, different(network.born(SPEC, P, KEY, LIKE))


def different(state):
    """No two individuals are alike."""
    changed = {name: state[name] + 0.3 * normals(7 + i, *state[name].shape) for i, name in enumerate(GROUPS)}
    return state | {name: value * state[f"mask.{name}"] for name, value in changed.items()}


def leaf(net):
    """The same network with weights that autograd follows."""
    return net._replace(**{name: getattr(net, name).clone().requires_grad_() for name in GROUPS})


def same(value):
    return value


def leaky_output(net: Leaky, seen, cut=same, window=None):
    """Outputs of a plain loop; `cut` is applied to y where it enters through recurrent synapses."""
    y, out = net.start.expand(P, L, seen.shape[2], N), []
    for step in range(len(seen)):
        if window and step % window == 0:
            y = y.detach()
        u = cut(net, y) + torch.einsum("lsi,plni->plsn", seen[step], net.input)
        y = (1 - net.leak) * y + net.leak * torch.tanh(u)
        out.append(y @ net.readout.mT)
    return torch.stack(out)


def whole(net, y):
    return y @ net.recurrent.mT


def detached(net, y):
    return y.detach() @ net.recurrent.mT


def own_only(net, y):
    """The gradient by y passes through a neuron's synapse on itself alone."""
    own = torch.diagonal(net.recurrent, dim1=-2, dim2=-1)[:, :, None].detach()
    return y.detach() @ net.recurrent.mT + own * (y - y.detach())


class Spike(torch.autograd.Function):
    """1 above 0, with the triangle as its slope."""

    @staticmethod
    def forward(ctx, distance, height):
        ctx.save_for_backward(distance, height)
        return (distance > 0).to(distance)

    @staticmethod
    def backward(ctx, *gradients):
        distance, height = ctx.saved_tensors
        return gradients[0] * height * (1 - distance.abs()).clamp(min=0), None


def spiking_run(net: Spiking, seen, local, window=None):
    """Outputs, spikes, voltages and thresholds of a plain loop; `local`: spikes are detached where they enter other
    neurons and in the reset, not in the neuron's own threshold."""
    z = v = b = rest = y = seen.new_zeros(P, L, seen.shape[2], N)
    y = y[..., :A]
    rows = []
    for step in range(len(seen)):
        if window and step % window == 0:
            z, v, b, y = (part.detach() for part in (z, v, b, y))
        sent = z.detach() if local else z
        b = net.rho * b + z
        current = sent @ net.recurrent.mT + torch.einsum("lsi,plni->plsn", seen[step], net.input)
        v = net.alpha * v + net.drive * current - net.theta * sent
        level = net.theta + net.beta * b
        free = (rest <= 0).to(v)
        z = Spike.apply((v - level) / net.theta, net.dampening) * free
        rest = (rest + net.refractory * z.detach() - 1).clamp(min=0)
        y = net.kappa * y + (1 - net.kappa) * (z @ net.readout.mT)
        rows.append((y, z, v, level))
    return [torch.stack(part) for part in zip(*rows, strict=True)]


def derivatives(net, loss):
    """Autograd's gradient of the sum over brains of `loss` [P, L]."""
    leaves = [getattr(net, name) for name in GROUPS]
    found = torch.autograd.grad(loss.sum(), leaves, allow_unused=True)
    return dict(zip(GROUPS, found, strict=True))


def relative(found, wanted):
    """Largest error over the groups, relative to the largest number of each."""
    return max(float((found[name] - wanted[name]).abs().max() / wanted[name].abs().max()) for name in GROUPS)
