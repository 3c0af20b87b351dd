"""The text of the kernel for formula rules in spiking networks: whole trials, one life after the other.

The loops are those of `spiking_life.py`; weights lie as w[pre, post], so that a neuron that did not spike costs nothing
in the sums and, where the change is proportional to `pre`, nothing in the rule. The rule's own loops are those of the
decision kernel (`learn_source.py`), once for each group of synapses; memories last through the trial.
"""

from __future__ import annotations

from pathlib import Path
from textwrap import indent
from typing import NamedTuple

import sympy

from metaplastic.inner_loop.critics import Zero
from metaplastic.inner_loop.decision_plan import Form
from metaplastic.inner_loop.formula.program import Place, Program
from metaplastic.inner_loop.formula.to_numba import helpers_source
from metaplastic.inner_loop.kernels.hoist import Change, change_of, split
from metaplastic.inner_loop.kernels.learn_source import SCALARS, learn_arguments, learn_source
from metaplastic.inner_loop.networks.recurrent import GROUPS
from metaplastic.inner_loop.policies import Greedy

SETTLED = "settled_now"
"""the signal `settled`, as a number that each step gives"""
NEURONS = "alpha, rho, beta, theta, drive, refractory, dampening"
EXTENT: dict[Place, str] = {"scalar": "1", "pre": "{pre}", "post": "{post}", "synapse": "({pre}, {post})"}
SIZES = {"input": ("I", "N"), "recurrent": ("N", "N"), "readout": ("N", "A")}
"""pre and post of each group"""
HERE = {"input": ("x", "new", "v", "psi"), "recurrent": ("z", "new", "v", "psi"), "readout": ("new", "y", "y", "ones")}
"""what pre, post, potential and gate are in each group"""


class SpikingForm(NamedTuple):
    """What the text depends on; hashable."""

    program: Program
    places: tuple[tuple[str, Place], ...]
    """where each coefficient lives"""
    bias: bool
    settle: int
    waits: bool


def form_for(form: SpikingForm, group: str) -> tuple[Form, Change]:
    """The rule in one group, as the decision kernel's text wants it."""
    rename = {sympy.Symbol("settled"): sympy.Symbol(SETTLED)}
    program = form.program._replace(
        normalise="none",  # it comes after the mask
        update=form.program.update.xreplace(rename),
        traces=tuple(trace._replace(value=trace.value.xreplace(rename)) for trace in form.program.traces),
    )
    places: tuple[tuple[str, Place], ...] = form.places
    if "settled" in program.reads:
        places = (*places, (SETTLED, "scalar"))
    bias = form.bias and group == "input"
    whole = Form(program, places, True, 0, "linear", bias, "symmetric", "chosen", Greedy, Zero, ())
    return whole, change_of(program, dict(places), keeps_traces=True)


def trace_names(form: SpikingForm) -> list[str]:
    """The memories, in the order of the kernel's arguments."""
    return [trace.name for trace in form.program.traces]


def kernel_source(form: SpikingForm) -> str:
    """The module; `lives(first, last, …)` is its entry."""
    parts = Path(__file__).with_name("decision_parts.py").read_text(encoding="utf-8")
    rules = []
    for group in GROUPS:
        text = learn_source(*form_for(form, group), carrier=False)
        rules.append(text.replace("def learn(", f"def learn_{group}("))
    return "\n\n".join([helpers_source(), parts, *rules, _PARTS, _life(form), _lives(form)])


def arguments(form: SpikingForm) -> list[str]:
    """What a life takes, beside its numbers: weights, masks, coefficients and memories of each group."""
    names = [f"w_{group}" for group in GROUPS] + [f"mask_{group}" for group in GROUPS]
    names += [f"of_{name}_{group}" for group in GROUPS for name, _ in form.places]
    return names + [f"memory_{name}_{group}" for group in GROUPS for name in trace_names(form)]


def _life(form: SpikingForm) -> str:
    """One life's trial."""
    last = "steps - 1" if form.waits else "steps"
    body = [
        "steps, I = seen.shape",
        "N, A = theta.shape[0], w_readout.shape[1]",
        "v, b, rest, z, new, psi = np.zeros((6, N), np.float32)",
        "current, more = np.zeros((2, N), np.float32)",
        "y, answer, ones = np.zeros(A, np.float32), np.zeros(A, np.float32), np.ones(A, np.float32)",
        "active_x, active_z = np.empty(I + 1, np.int64), np.empty(N + 1, np.int64)",
        "active_new = np.empty(N + 1, np.int64)",
        *_scratch(form),
        "count_z = 0",
        "for t in range(steps):",
        "    x = seen[t]",
        "    count_x = find_active(x, I, active_x)",
        "    forward(w_input, x, active_x, count_x, N, current)",
        "    forward(w_recurrent, z, active_z, count_z, N, more)",
        "    for i in range(N):",
        "        b[i] = rho[i] * b[i] + z[i]",
        "        v[i] = alpha[i] * v[i] + drive[i] * (current[i] + more[i]) - theta[i] * z[i]",
        "        d = v[i] / theta[i] - ONE - beta[i] / theta[i] * b[i]",
        "        free = ONE if rest[i] <= ZERO else ZERO",
        "        new[i] = free if d > ZERO else ZERO",
        "        rest[i] = max(rest[i] + refractory[i] * new[i] - ONE, ZERO)",
        "        psi[i] = max(ONE - abs(d), ZERO) * (dampening[i] / theta[i]) * free",
        "    count_new = find_active(new, N, active_new)",
        "    forward(w_readout, new, active_new, count_new, A, answer)",
        "    for k in range(A):",
        "        y[k] = kappa * y[k] + (ONE - kappa) * answer[k]",
        "        output[t, k] = y[k]",
        "    for i in range(N):",
        "        spikes[t, i] = new[i]",
        f"    if plastic and t < {last}:",
        f"        settled = ONE if t >= {form.settle} else ZERO",
        *(f"        {line}" for group in GROUPS for line in _learn(form, group)),
        "    if t == steps - 1:",
        "        for i in range(N):",
        "            kept[0, i], kept[1, i], kept[2, i], kept[3, i] = z[i], new[i], v[i], psi[i]",
        "    for i in range(N):",
        "        z[i], active_z[i] = new[i], active_new[i]",
        "    count_z = count_new",
    ]
    given = f"seen, {NEURONS}, kappa, plastic, output, spikes, kept, kinds, {', '.join(arguments(form))}"
    return f"@compiled\ndef life({given}):\n" + indent("\n".join(body), "    ")


def _scratch(form: SpikingForm) -> list[str]:
    """Room for values of neurons, and for the next values of their memories."""
    lines = []
    for group in GROUPS:
        _, change = form_for(form, group)
        pre, post = SIZES[group]
        lines.append(f"held_{group} = np.empty(({max(1, len(split(change).post))}, {post}), np.float32)")
        for name, _ in change.kept:
            if change.places[name] != "synapse":
                extent = EXTENT[change.places[name]].format(pre=pre, post=post)
                lines.append(f"next_{name}_{group} = np.zeros({extent}, np.float32)")
    return lines


def _learn(form: SpikingForm, group: str) -> list[str]:
    """The rule's step in one group."""
    whole, change = form_for(form, group)
    sorts = learn_arguments(whole, change)
    pre, post, potential, gate = HERE[group]
    here = {"post": post, "potential": potential, "gate": gate, **dict.fromkeys(SCALARS, "ZERO")}
    counts = {"input": "active_x, count_x", "recurrent": "active_z, count_z", "readout": "active_new, count_new"}[group]
    given = [f"w_{group}", pre, SIZES[group][0], counts, SIZES[group][1], f"held_{group}"]
    given += ["True" if form.program.writes == "step" else "False"]
    given += [here[name] for name in sorts["signals"]]
    given += ["settled" if name == f"rule_{SETTLED}" else f"of_{name[5:]}_{group}" for name in sorts["parameters"]]
    given += [f"memory_{name[6:]}_{group}" for name in sorts["traces"]]
    given += [f"{name}_{group}" for name in sorts["next"]]
    lines = [f"learn_{group}({', '.join(given)})"]
    if form.program.writes == "step":
        lines.append(f"masked(w_{group}, mask_{group}, kinds[{GROUPS.index(group)}])")
        if form.program.normalise != "none":
            lines.append(f"normalise_{form.program.normalise}(w_{group}, {SIZES[group][0]}, {SIZES[group][1]})")
    return lines


def _lives(form: SpikingForm) -> str:
    """The lives first .. last - 1."""
    parts = [f"{name}[b]" for name in arguments(form)]
    for group in GROUPS:
        for name, place in form.places:
            text = f"of_{name}_{group}[min(b // lifetimes, of_{name}_{group}.shape[0] - 1)]"
            parts[arguments(form).index(f"of_{name}_{group}")] = f"{text}[0]" if place == "scalar" else text
    neurons = ", ".join(f"{name}[b]" for name in NEURONS.split(", "))
    given = (
        f"seen[b % lifetimes], {neurons}, kappa[b], plastic, output[b], spikes[b], kept[b], kinds, {', '.join(parts)}"
    )
    head = f"first, last, lifetimes, seen, {NEURONS}, kappa, plastic, output, spikes, kept, kinds"
    return "\n".join([
        "@njit(error_model='numpy', fastmath={'contract', 'nsz'}, nogil=True, cache=True)",
        f"def lives({head}, {', '.join(arguments(form))}):",
        "    for b in range(first, last):",
        f"        life({given})",
    ])  # fmt: skip


_PARTS = '''
@compiled
def masked(w, mask, kind):
    """0 where there is no synapse: nowhere (0), on the diagonal (1), or as the mask says (2)."""
    if kind == 1:
        for i in range(w.shape[0]):
            w[i, i] = ZERO
    if kind == 2:
        for j in range(w.shape[0]):
            for i in range(w.shape[1]):
                w[j, i] = w[j, i] * mask[j, i]
'''
