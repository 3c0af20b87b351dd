"""Every rule by name."""

from __future__ import annotations

from metaplastic.core import Rule
from metaplastic.inner_loop.feedback.alignment import (
    BatchBackprop,
    DirectFeedbackAlignment,
    FeedbackAlignment,
    SignSymmetry,
)
from metaplastic.inner_loop.feedback.augment import Augment
from metaplastic.inner_loop.feedback.burst import BurstProp
from metaplastic.inner_loop.feedback.eprop import EProp
from metaplastic.inner_loop.feedback.eprop_reward import EPropReward
from metaplastic.inner_loop.feedback.perturbation import BatchNodePerturbation, WeightPerturbation
from metaplastic.inner_loop.feedback.reciprocal import KolenPollack, WeightMirror
from metaplastic.inner_loop.feedback.reward_gated import Agrel, BatchQAgrel, Reinforce
from metaplastic.inner_loop.feedback.rflo import RFLO
from metaplastic.inner_loop.feedback.segregated_dendrites import SegregatedDendrites
from metaplastic.inner_loop.gradient.actor_critic import A2C
from metaplastic.inner_loop.gradient.backprop import Backprop
from metaplastic.inner_loop.gradient.bptt import BPTT
from metaplastic.inner_loop.gradient.rank_one import KFRTRL, UORO
from metaplastic.inner_loop.gradient.rtrl import RTRL, SnAp1
from metaplastic.inner_loop.gradient.song17 import Song17
from metaplastic.inner_loop.plastic.differentiable_plasticity import Backpropamine, DifferentiablePlasticity
from metaplastic.inner_loop.plastic.plasticity_pool import PlasticityPool
from metaplastic.inner_loop.relaxation.contrastive import ContrastiveHebbian
from metaplastic.inner_loop.relaxation.dendritic_microcircuit import DendriticMicrocircuit
from metaplastic.inner_loop.relaxation.equilibrium import EquilibriumPropagation
from metaplastic.inner_loop.relaxation.predictive_coding import PredictiveCoding
from metaplastic.inner_loop.rls.force import Force
from metaplastic.inner_loop.rls.full_force import FullForce
from metaplastic.inner_loop.rls.full_force_spiking import FullForceSpiking
from metaplastic.inner_loop.rls.innate import Innate
from metaplastic.inner_loop.rules.abcd import ABCD
from metaplastic.inner_loop.rules.bcm import BCM
from metaplastic.inner_loop.rules.covariance import Covariance
from metaplastic.inner_loop.rules.evolved_formula import EvolvedFormula
from metaplastic.inner_loop.rules.fixed import Fixed
from metaplastic.inner_loop.rules.formula_rule import FormulaRule
from metaplastic.inner_loop.rules.hebbian import Hebbian
from metaplastic.inner_loop.rules.intrinsic import IntrinsicPlasticity
from metaplastic.inner_loop.rules.mlp_rule import MLPRule
from metaplastic.inner_loop.rules.oja import Oja
from metaplastic.inner_loop.rules.perturbation import Miconi17, NodePerturbation
from metaplastic.inner_loop.rules.polynomial import Polynomial
from metaplastic.inner_loop.rules.q_agrel import QAgrel
from metaplastic.inner_loop.rules.sanger import OjaSubspace, Sanger
from metaplastic.inner_loop.rules.scaling import SynapticScaling
from metaplastic.inner_loop.rules.stdp import STDP, InhibitorySTDP, RewardSTDP, SpikePairs
from metaplastic.inner_loop.rules.three_factor import ThreeFactor

RULES: dict[str, type[Rule]] = {
    "formula": FormulaRule,
    "fixed": Fixed,
    "hebbian": Hebbian,
    "covariance": Covariance,
    "oja": Oja,
    "oja_subspace": OjaSubspace,
    "sanger": Sanger,
    "bcm": BCM,
    "synaptic_scaling": SynapticScaling,
    "intrinsic_plasticity": IntrinsicPlasticity,
    "abcd": ABCD,
    "polynomial": Polynomial,
    "mlp": MLPRule,
    "evolved_formula": EvolvedFormula,
    "three_factor": ThreeFactor,
    "stdp": STDP,
    "spike_pairs": SpikePairs,
    "reward_stdp": RewardSTDP,
    "inhibitory_stdp": InhibitorySTDP,
    "augment": Augment,
    "force": Force,
    "full_force": FullForce,
    "full_force_spiking": FullForceSpiking,
    "innate": Innate,
    "node_perturbation": NodePerturbation,
    "miconi17": Miconi17,
    "q_agrel": QAgrel,
    "backprop": Backprop,
    "bptt": BPTT,
    "rtrl": RTRL,
    "snap1": SnAp1,
    "uoro": UORO,
    "kf_rtrl": KFRTRL,
    "rflo": RFLO,
    "eprop": EProp,
    "eprop_reward": EPropReward,
    "batch_backprop": BatchBackprop,
    "feedback_alignment": FeedbackAlignment,
    "direct_feedback_alignment": DirectFeedbackAlignment,
    "sign_symmetry": SignSymmetry,
    "kolen_pollack": KolenPollack,
    "weight_mirror": WeightMirror,
    "burstprop": BurstProp,
    "segregated_dendrites": SegregatedDendrites,
    "agrel": Agrel,
    "batch_q_agrel": BatchQAgrel,
    "reinforce": Reinforce,
    "batch_node_perturbation": BatchNodePerturbation,
    "weight_perturbation": WeightPerturbation,
    "plasticity_pool": PlasticityPool,
    "differentiable_plasticity": DifferentiablePlasticity,
    "backpropamine": Backpropamine,
    "a2c": A2C,
    "song17": Song17,
    "predictive_coding": PredictiveCoding,
    "equilibrium_propagation": EquilibriumPropagation,
    "contrastive_hebbian": ContrastiveHebbian,
    "dendritic_microcircuit": DendriticMicrocircuit,
}
"""kind -> rule"""
