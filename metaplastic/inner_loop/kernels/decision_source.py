"""The text of a fused kernel for lives of one-step decisions: one life a call of `life`, its weights in cache.

The loops are those of `decision_life.py`, one lifetime at a time, with weights as w[pre, post]. Only what the rule reads
is computed. A change that is 0 where `pre` is 0 is made for active presynaptic neurons only, and one that is 0 where
reward, prediction or rpe is 0 is then not made at all; both are proved from the formula.
"""

from __future__ import annotations

from pathlib import Path
from textwrap import indent

import sympy

from metaplastic.inner_loop.decision_plan import Form
from metaplastic.inner_loop.formula.program import Place
from metaplastic.inner_loop.formula.to_numba import helpers_source, numba_expression
from metaplastic.inner_loop.kernels.hoist import W, Change, Loops, change_of, split, vanishes
from metaplastic.inner_loop.networks.activation import ACTIVATIONS

SCALARS = ("reward", "prediction", "rpe")
NEURONAL = ("post", "potential", "gate", "feedback", "drive")
AT = {"scalar": "", "pre": "[j]", "post": "[i]", "synapse": "[j, i]"}
"""how a value that lives at a place is read in the loops"""


def kernel_source(form: Form) -> str:
    """The module; `lives(first, last, *arguments)` is its entry, with the arguments that `argument_names` lists."""
    parts = Path(__file__).with_name("decision_parts.py").read_text(encoding="utf-8")
    change = change_of(form.program, dict(form.places), form.keeps_traces)
    functions = [_learn(form, change, carrier) for carrier in sorted({False, form.feedback == "learned"})]
    return "\n\n".join([helpers_source(), parts, *functions, _life(form, change), _lives(form)])


def argument_names(form: Form) -> list[str]:
    """What `lives` takes after first and last; `decision_kernel.py` says what each is."""
    groups = range(form.layers + 1)
    names = ["observation", "payoff", "score", "best", "kind", "coins", "block", "trials", "quiet_trials", "units"]
    names += [f"{part}_{k}" for k in groups for part in ("draw", "scale")]
    names += [f"carrier_{part}_{k}" for k in groups[1:] for part in ("draw", "scale") if form.feedback != "symmetric"]
    names += [f"rule_{name}_{k}" for k in groups for name, _ in form.places]
    names += ["policy", "critic", "reward_weight", "costs", "totals", "curve"]
    return names


def policy_numbers(form: Form) -> list[str]:
    """The columns of `policy`."""
    return _fields(form.policy)


def critic_numbers(form: Form) -> list[str]:
    """The columns of `critic`."""
    return _fields(form.critic)


def cost_numbers(form: Form) -> list[tuple[int, str]]:
    """The columns of `costs`: which cost, and its number."""
    return [(index, name) for index, cost in enumerate(form.costs) for name in _fields(cost)]


def _fields(component: type) -> list[str]:
    return [name for name in component.model_fields if name != "kind"]  # pyright: ignore[reportAttributeAccessIssue]


# --- one connection group -------------------------------------------------------------------------------------------


def learn_arguments(form: Form, change: Change) -> dict[str, list[str]]:
    """Names of what `learn` takes, by sort."""
    return {
        "signals": [name for name in (*SCALARS, *NEURONAL) if name in change.reads],
        "parameters": [f"rule_{name}" for name, _ in form.places],
        "traces": [f"trace_{name}" for name, _ in change.kept],
        "next": [f"next_{name}" for name, _ in change.kept if change.places[name] != "synapse"],
    }


def _learn(form: Form, change: Change, carrier: bool) -> str:
    """The text of `learn`, or of `learn_both` that gives the feedback weights the same change."""
    loops, names = split(change), _names(form, change)
    arguments = [name for some in learn_arguments(form, change).values() for name in some]
    given = ["w", *(["carrier"] if carrier else []), "pre", "pre_count", "active", "count", "post_count", "held"]
    lazy = _is_lazy(form, change)
    skipped = [s for s in SCALARS if s in change.reads and lazy and vanishes(change.update, s)]
    lines = [f"if {name} == ZERO:\n    return" for name in skipped]
    lines += _before(loops, change, names)
    sparse = lazy and vanishes(change.update, "pre")
    lines += ["for k in range(count):", "    j = active[k]"] if sparse else ["for j in range(pre_count):"]
    lines += [indent(text, "    ") for text in _row(form, loops, change, names, carrier)]
    lines += _after(form, change)
    head = f"@compiled_fast\ndef learn{'_both' if carrier else ''}({', '.join([*given, 'writing', *arguments])}):"
    return "compiled_fast = njit(error_model='numpy', fastmath=FAST)\n\n\n" * (not carrier) + "\n".join(
        [head, *(indent(text, "    ") for text in lines or ["pass"])]
    )


def _is_lazy(form: Form, change: Change) -> bool:
    """Whether a synapse whose change is 0 stays as it is, traces and all."""
    return form.program.transform == W and form.program.normalise == "none" and not change.kept


def _names(form: Form, change: Change) -> dict[str, str]:
    """How every name of the formula is read inside the loops."""
    names = {name: name + AT[change.places[name]] for name in change.reads}
    names |= {"w": "weight"}
    names |= {name: f"rule_{name}{AT[place]}" for name, place in form.places}
    for name, _ in change.kept:
        place = change.places[name]
        names[name] = f"trace_{name}{AT[place] or '[0]'}"
        names[f"{name}'"] = f"now_{name}" if place == "synapse" else f"next_{name}{AT[place] or '[0]'}"
    return names


def _before(loops: Loops, change: Change, names: dict[str, str]) -> list[str]:
    """Scalars, then values of each neuron: temporaries of this step and the next values of their traces."""
    lines = [f"{_target(symbol, names, 'scalar')} = {numba_expression(value, names)}" for symbol, value in loops.scalar]
    primed = [(symbol, value) for symbol, value in loops.pre if str(symbol) in names]
    if primed:
        lines.append("for j in range(pre_count):")
        lines += [f"    {_target(symbol, names, 'pre')} = {numba_expression(value, names)}" for symbol, value in primed]
    if loops.post:
        rows = [(str(symbol), index) for index, (symbol, _) in enumerate(loops.post) if str(symbol) not in names]
        lines += [f"held_{index} = held[{index}]" for _, index in rows]
        names |= {symbol: f"held_{index}[i]" for symbol, index in rows}
        lines.append("for i in range(post_count):")
        lines += [f"    {names[str(symbol)]} = {numba_expression(value, names)}" for symbol, value in loops.post]
    return lines


def _target(symbol: sympy.Symbol, names: dict[str, str], place: Place) -> str:
    """The text of a temporary; it is known by it from now on."""
    return names.setdefault(str(symbol), str(symbol).replace(" ", "_") + ("" if place == "scalar" else AT[place]))


def _row(form: Form, loops: Loops, change: Change, names: dict[str, str], carrier: bool) -> list[str]:
    """The loop over postsynaptic neurons, for presynaptic neuron j."""
    lines = ["row = w[j]"]
    for symbol, value in loops.pre:
        if str(symbol) not in names:
            lines.append(f"{_target(symbol, names, 'scalar')} = {numba_expression(value, names)}")
    inner = ["weight = row[i]"]
    inner += [f"{names[str(symbol)]} = {numba_expression(value, names)}" for symbol, value in loops.synapse]
    inner.append(f"change = {numba_expression(loops.update, names)}")
    inner += [f"trace_{name}[j, i] = now_{name}" for name, _ in change.kept if change.places[name] == "synapse"]
    write = [f"row[i] = {_transformed(form, 'weight', names)}"]
    if carrier:
        write.append(f"carrier[j, i] = {_transformed(form, 'carrier[j, i]', names)}")
    inner += ["if writing:", *(f"    {text}" for text in write)] if change.kept else write
    return [*lines, "for i in range(post_count):", *(f"    {text}" for text in inner)]


def _transformed(form: Form, old: str, names: dict[str, str]) -> str:
    return numba_expression(form.program.transform, {**names, "w": f"({old} + change)"})


def _after(form: Form, change: Change) -> list[str]:
    """Traces of neurons take their next values; the norm is restored."""
    extent = {"scalar": "1", "pre": "pre_count", "post": "post_count"}
    lines = [
        f"for n in range({extent[change.places[name]]}):\n    trace_{name}[n] = next_{name}[n]"
        for name, _ in change.kept
        if change.places[name] != "synapse"
    ]
    if form.program.normalise != "none":
        lines.append(f"if writing:\n    normalise_{form.program.normalise}(w, pre_count, post_count)")
    return lines


# --- one life -------------------------------------------------------------------------------------------------------


def _life(form: Form, change: Change) -> str:
    """The text of `life`: individual p in lifetime l."""
    head = f"@compiled\ndef life(p, l, {', '.join(argument_names(form))}):"
    lines = [
        *_birth(form, change),
        "best_total, learned_total, learned_score, active_total = 0.0, 0.0, 0.0, 0.0",
        "test_total, test_score = 0.0, 0.0",
        "for n in range(observation.shape[0]):",
        *(indent(text, "    ") for text in _trial(form, change)),
        "last_total, last_score = (test_total, test_score) if tests > 0 else (learned_total, learned_score)",
        "last = tests if tests > 0 else trials",
        "totals[0, p, l] = last_score / last",
        "totals[1, p, l] = last_total / last",
        "totals[2, p, l] = learned_total / trials",
        "totals[3, p, l] = best_total - learned_total",
        f"totals[4, p, l] = active_total / (tests * units_p * {form.layers}) if tests > 0 else 0.0"
        if form.layers
        else "totals[4, p, l] = 0.0",
    ]
    return "\n".join([head, *(indent(line, "    ") for line in lines)])


def _birth(form: Form, change: Change) -> list[str]:
    """Sizes, weights, traces, and room for what the neurons do."""
    bias, last = int(form.bias), form.layers
    lines = ["units_p, actions = units[p], payoff.shape[2]", "tests = observation.shape[0] - trials"]
    lines += [f"{name} = policy[p, {k}]" for k, name in enumerate(policy_numbers(form))]
    lines += [f"{name} = critic[p, {k}]" for k, name in enumerate(critic_numbers(form))]
    lines += [f"{name}_{index} = costs[p, {k}]" for k, (index, name) in enumerate(cost_numbers(form))]
    if form.critic.remembers:
        lines.append("averages = np.zeros(kind.max() + 1, np.float32)")
    lines += ["chances = np.empty(actions, np.float32)", "longest = max(units_p, actions)"]
    lines.append(f"held = np.empty(({max(1, len(split(change).post))}, longest), np.float32)")
    for k in range(last + 1):
        lines += [
            f"pre_count_{k} = {'observation.shape[2]' if k == 0 else 'units_p'} + {bias}",
            f"post_count_{k} = {'actions' if k == last else 'units_p'}",
            f"w_{k} = born(draw_{k}[l % len(draw_{k})], scale_{k}[p % len(scale_{k})], 0, pre_count_{k}, post_count_{k})",
            f"pre_{k} = np.ones(pre_count_{k}, np.float32)",
            f"active_{k} = np.empty(pre_count_{k}, np.int64)",
            f"potential_{k} = np.empty(post_count_{k}, np.float32)",
            f"feedback_{k} = np.zeros(post_count_{k}, np.float32)",
            f"gate_{k} = np.ones(post_count_{k}, np.float32)",
            f"drive_{k} = np.zeros(post_count_{k}, np.float32)",
            *_own(form, change, k),
        ]
    lines += [f"post_{k} = pre_{k + 1}[{bias}:]" for k in range(last)]
    return [*lines, f"post_{last} = potential_{last}", f"q = potential_{last}"]


def _own(form: Form, change: Change, k: int) -> list[str]:
    """What only some rules and networks have: feedback weights, coefficients, traces, mean activities."""
    lines = []
    if k > 0 and form.feedback != "symmetric":
        source = f"carrier_draw_{k}[l % len(carrier_draw_{k})], carrier_scale_{k}[p % len(carrier_scale_{k})]"
        lines.append(f"carrier_{k} = born({source}, {int(form.bias)}, pre_count_{k}, post_count_{k})")
    lines += [f"my_{name}_{k} = rule_{name}_{k}[p % len(rule_{name}_{k})]" for name, _ in form.places]
    extent = {"scalar": "1", "pre": f"pre_count_{k}", "post": f"post_count_{k}"}
    extent["synapse"] = f"(pre_count_{k}, post_count_{k})"
    for name, _ in change.kept:
        shape = extent[change.places[name]]
        lines.append(f"trace_{name}_{k} = np.zeros({shape}, np.float32)")
        if change.places[name] != "synapse":
            lines.append(f"next_{name}_{k} = np.zeros({shape}, np.float32)")
    lines += [
        f"mean_{index}_{k} = np.zeros(post_count_{k}, np.float32)"
        for index, cost in enumerate(form.costs)
        if cost.remembers and k < form.layers
    ]
    return lines


def _trial(form: Form, change: Change) -> list[str]:
    """One decision, and what is learned from it."""
    lines = [f"for j in range(observation.shape[2]):\n    pre_0[j + {int(form.bias)}] = observation[n, l, j]"]
    for k in range(form.layers + 1):
        lines += [
            f"count_{k} = find_active(pre_{k}, pre_count_{k}, active_{k})",
            f"forward(w_{k}, pre_{k}, active_{k}, count_{k}, post_count_{k}, potential_{k})",
        ]
        if k < form.layers:
            lines.append(_over(k, f"a = potential_{k}[i]\npost_{k}[i] = {ACTIVATIONS[form.activation].kernel}"))
    active = [_over(k, f"active_total += post_{k}[i]") for k in range(form.layers)]
    return [
        *lines,
        "learns = n < trials",
        "u0, u1 = coins[n, l, 0], coins[n, l, 1]",
        f"action = ({form.policy.kernel}) if learns else greedy(q, actions)",
        "paid = payoff[n, l, action]",
        "scored = score[n, l, action] if is_finite(q, actions) else np.float32(np.nan)",
        "if not learns:",
        "    test_total += paid",
        "    test_score += scored",
        *(indent(text, "    ") for text in active),
        "    continue",
        "best_total += best[n, l]",
        "learned_total += paid",
        "learned_score += scored",
        "curve[p, l, block[n]] += scored",
        *_plasticity(form, change),
    ]


def _plasticity(form: Form, change: Change) -> list[str]:
    """Everything after the decision."""
    lines = ["reward = reward_weight[p] * paid", "writing = n >= quiet_trials"]
    lines += ["expected = averages[kind[n, l]]"] if form.critic.remembers else []
    if change.reads & {"prediction", "rpe"}:
        lines += [f"prediction = {form.critic.kernel}", "rpe = reward - prediction"]
    if form.critic.remembers:
        lines.append("averages[kind[n, l]] = decay * expected + (ONE - decay) * reward")
    lines += _teach(form) if "feedback" in change.reads else []
    lines += _gates(form) if change.reads & {"feedback", "gate"} else []
    lines += _send_down(form) if "feedback" in change.reads else []
    lines += _drives(form) if "drive" in change.reads else []
    if change.update == 0 and form.program.transform == W and form.program.normalise == "none":
        return lines
    calls = [_call(form, change, k) for k in range(form.layers + 1)]
    return [*lines, *calls] if change.kept else [*lines, "if writing:", *(f"    {text}" for text in calls)]


def _gates(form: Form) -> list[str]:
    derivative = ACTIVATIONS[form.activation].kernel_derivative
    return [_over(k, f"a, y = potential_{k}[i], post_{k}[i]\ngate_{k}[i] = {derivative}") for k in range(form.layers)]


def _teach(form: Form) -> list[str]:
    """The feedback at the output."""
    last = form.layers
    if form.teacher == "chosen":
        return [_over(last, f"feedback_{last}[i] = ZERO"), f"feedback_{last}[action] = ONE"]
    return [
        "softmax(q, actions, ONE, chances)",
        _over(last, f"feedback_{last}[i] = -chances[i]"),
        f"feedback_{last}[greedy(payoff[n, l], actions)] += ONE",
    ]


def _send_down(form: Form) -> list[str]:
    lines = []
    for k in range(form.layers, 0, -1):
        carrier = f"w_{k}" if form.feedback == "symmetric" else f"carrier_{k}"
        arguments = f"{carrier}, {int(form.bias)}, feedback_{k}, post_count_{k}, feedback_{k - 1}, post_count_{k - 1}"
        lines.append(f"send_down({arguments})")
        lines.append(_over(k - 1, f"feedback_{k - 1}[i] = feedback_{k - 1}[i] * gate_{k - 1}[i]"))
    return lines


def _drives(form: Form) -> list[str]:
    """What the costs ask of hidden neurons; running means first."""
    lines = []
    for k in range(form.layers):
        body = [f"y = post_{k}[i]", "drive = ZERO"]
        for index, cost in enumerate(form.costs):
            mean = f"mean_{index}_{k}[i]"
            if cost.remembers:
                body.append(f"{mean} = {mean} + rate_{index} * (y - {mean})")
                body.append(f"mean = {mean}")
            numbers = {name: f"{name}_{index}" for name in _fields(cost)}
            body.append(f"drive += {cost.kernel.format(**numbers)}")
        lines.append(_over(k, "\n".join([*body, f"drive_{k}[i] = drive"])))
    return lines


def _call(form: Form, change: Change, k: int) -> str:
    """The plasticity of connection group k."""
    both = k > 0 and form.feedback == "learned"
    arguments = learn_arguments(form, change)
    given = [f"w_{k}", *([f"carrier_{k}"] if both else []), f"pre_{k}", f"pre_count_{k}", f"active_{k}", f"count_{k}"]
    given += [f"post_count_{k}", "held", "writing"]
    given += [name if name in SCALARS else f"{name}_{k}" for name in arguments["signals"]]
    given += [f"my_{name.removeprefix('rule_')}_{k}" for name in arguments["parameters"]]
    given += [f"{name}_{k}" for name in (*arguments["traces"], *arguments["next"])]
    return f"learn{'_both' if both else ''}({', '.join(given)})"


def _over(k: int, body: str) -> str:
    """A loop over the postsynaptic neurons of connection group k."""
    return f"for i in range(post_count_{k}):\n{indent(body, '    ')}"


def _lives(form: Form) -> str:
    """The entry: lives number first … last - 1 of P × L, lifetimes of an individual side by side."""
    names = ", ".join(argument_names(form))
    return "\n".join(
        [
            "@njit(cache=True, nogil=True, error_model='numpy')",
            f"def lives(first, last, {names}):",
            "    lifetimes = observation.shape[1]",
            "    for number in range(first, last):",
            f"        life(number // lifetimes, number % lifetimes, {names})",
            "",
        ]
    )
