"""Learning from perturbations of a recurrent network's activity and a reward at the trial's end: two rules, one form.

    node_perturbation  e_ij += x_j(t-1) noise_i(t)                                    Fiete & Seung 2006
    miconi17           e_ij += (x_j(t-1) (v_i(t) - <v_i>(t-1)))^3                     Miconi 2017, eq. 2
                       <v_i> <- mean_decay <v_i> + (1 - mean_decay) v_i
    both, at the end   dw_ij = clip(eta |Rbar| (R - Rbar) e_ij, -limit, limit)        Miconi 2017, eq. 3

noise_i is the perturbation that was injected, v_i the membrane variable (`potential`): Miconi's synapse knows no noise,
it sees its neuron jump against its own fast mean, and the cube lets the few large jumps through.

Signs, against the authors' code: there `R` is an error E, dw = clip(-eta Ebar (E - Ebar) e), and Ebar >= 0. Here reward
is -E, so prediction = -Ebar and rpe = -(E - Ebar): -eta Ebar (E - Ebar) = eta |prediction| rpe. The factor |Rbar| is in
the code but not in the paper's equations; so are the clip and one Rbar for each type of trial. With rewards above 0 the
rule keeps its sense, since only the size of the prediction counts.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from metaplastic.inner_loop.rules.local import Coefficient, Count, Equations, Fraction, LocalRule, Rate

_UPDATE = "clip(eta * abs(prediction) * rpe * e, -limit, limit)"


class Miconi17(LocalRule):
    """Reward-modulated Hebbian learning from a neuron's own fluctuations (Miconi 2017); defaults are the authors'."""

    references: ClassVar[tuple[str, ...]] = (
        "Miconi 2017, Biologically plausible learning in recurrent neural networks reproduces neural dynamics observed "
        "during cognitive tasks, eLife 6:e20899",
    )
    kind: Literal["miconi17"] = "miconi17"
    eta: Coefficient = 0.1
    """learning rate"""
    limit: Rate = 3e-4
    """largest change of a weight in a trial"""
    mean_decay: Fraction = 0.05
    """how much of the mean of v stays from step to step: 0.05, a fast mean"""
    trace_decay: Fraction = 1.0
    """how much of the eligibility stays from step to step"""
    settle: Count = 3
    """steps 0, 1 and 2 of the authors' code leave no trace"""
    quiet_trials: Count = 100
    """the authors' weights change from trial 101 on"""

    def equations(self) -> Equations:
        """The eligibility reads the mean as it was before this step."""
        return Equations(
            _UPDATE,
            {
                "e": "trace_decay * e + settled * (pre * (potential - mean))**3",
                "mean": "mean_decay * mean + (1 - mean_decay) * potential",
            },
            "trial",
        )


class NodePerturbation(LocalRule):
    """Correlates injected perturbations with reward (Fiete & Seung 2006, as in the code of Miconi 2017)."""

    references: ClassVar[tuple[str, ...]] = (
        "Fiete & Seung 2006, Gradient learning in spiking networks by dynamic perturbation of conductances, PRL 97",
        "Miconi 2017, eLife 6:e20899, code: NODEPERT",
    )
    kind: Literal["node_perturbation"] = "node_perturbation"
    eta: Coefficient = 0.001
    """learning rate"""
    limit: Rate = 3e-4
    """largest change of a weight in a trial"""
    trace_decay: Fraction = 1.0
    """how much of the eligibility stays from step to step"""
    settle: Count = 3
    """as for miconi17"""
    quiet_trials: Count = 100
    """as for miconi17"""

    def equations(self) -> Equations:
        """Presynaptic activity times the perturbation."""
        return Equations(_UPDATE, {"e": "trace_decay * e + settled * pre * noise"}, "trial")
