"""The text of a fused kernel for lives of one-step decisions: one life a call of `life`, its weights in cache.

The loops are those of `decision_life.py`, one lifetime at a time, with weights as w[pre, post]; only the signals that
the rule reads are computed. `learn_source.py` writes the rule's own loops.
"""

from __future__ import annotations

from pathlib import Path
from textwrap import indent

from metaplastic.inner_loop.decision_plan import Form
from metaplastic.inner_loop.formula.to_numba import helpers_source
from metaplastic.inner_loop.kernels.hoist import Change, W, change_of, split
from metaplastic.inner_loop.kernels.learn_source import SCALARS, learn_arguments, learn_source
from metaplastic.inner_loop.networks.activation import ACTIVATIONS


def kernel_source(form: Form) -> str:
    """The module; `lives(first, last, *arguments)` is its entry, with the arguments that `argument_names` lists."""
    parts = Path(__file__).with_name("decision_parts.py").read_text(encoding="utf-8")
    change = change_of(form.program, dict(form.places), form.keeps_traces)
    functions = [learn_source(form, change, carrier) for carrier in sorted({False, form.feedback == "learned"})]
    return "\n\n".join([helpers_source(), parts, *functions, _life(form, change), _lives(form)])


def argument_names(form: Form) -> list[str]:
    """What `lives` takes after first and last; `decision_kernel.py` says what each is."""
    groups = range(form.layers + 1)
    names = ["observation", "payoff", "score", "best", "kind", "coins", "block", "trials", "quiet_trials", "units"]
    names += [f"{part}_{k}" for k in groups for part in ("draw", "scale")]
    names += [f"carrier_{part}_{k}" for k in groups[1:] for part in ("draw", "scale") if form.feedback != "symmetric"]
    names += [f"rule_{name}_{k}" for k in groups for name, _ in form.places]
    names += ["policy", "critic", "reward_weight", "costs", "totals", "curve"]
    names += [f"learned_{k}" for k in groups]
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


def _life(form: Form, change: Change) -> str:
    """The text of `life`: individual p in lifetime l."""
    head = f"@compiled\ndef life(p, l, {', '.join(argument_names(form))}):"
    lines = [
        *_birth(form, change),
        "best_total, learned_total, learned_score, active_total = 0.0, 0.0, 0.0, 0.0",
        "test_total, test_score = 0.0, 0.0",
        "for n in range(observation.shape[0]):",
        *(indent(text, "    ") for text in _trial(form, change)),
        *(_keep(k) for k in range(form.layers + 1)),
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


def _keep(k: int) -> str:
    """Hand out the weights of connection group k, if they are asked for."""
    loops = f"for j in range(pre_count_{k}):\n    for i in range(post_count_{k}):\n"
    return f"if len(learned_{k}) > 0:\n{indent(loops, '    ')}            learned_{k}[p, l, i, j] = w_{k}[j, i]"


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
            f"w_{k} = born({_innate('', k)}, 0, pre_count_{k}, post_count_{k})",
            f"pre_{k} = np.ones(pre_count_{k}, np.float32)",
            f"active_{k} = np.empty(pre_count_{k}, np.int64)",
            f"potential_{k} = np.empty(post_count_{k}, np.float32)",
            f"feedback_{k} = np.zeros(post_count_{k}, np.float32)",
            f"gate_{k} = np.ones(post_count_{k}, np.float32)",
            f"drive_{k} = np.zeros(post_count_{k}, np.float32)",
            f"chance_{k} = np.zeros(post_count_{k}, np.float32)",
            *_own(form, change, k),
        ]
    lines += [f"post_{k} = pre_{k + 1}[{bias}:]" for k in range(last)]
    return [*lines, f"post_{last} = potential_{last}", f"q = potential_{last}"]


def _innate(prefix: str, k: int) -> str:
    """What individual p and lifetime l start from; one of either may stand for all."""
    draw, scale = f"{prefix}draw_{k}", f"{prefix}scale_{k}"
    return f"{draw}[l % len({draw})], {scale}[p % len({scale})]"


def _own(form: Form, change: Change, k: int) -> list[str]:
    """What only some rules and networks have: feedback weights, coefficients, traces, mean activities."""
    lines = []
    if k > 0 and form.feedback != "symmetric":
        bias = int(form.bias)
        lines.append(f"carrier_{k} = born({_innate('carrier_', k)}, {bias}, pre_count_{k}, post_count_{k})")
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
    lines += [f"softmax(q, actions, ONE, chance_{form.layers})"] if "chance" in change.reads else []
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
