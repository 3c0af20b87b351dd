"""Every searcher by name: `kind: snes` in an experiment file is `SEARCHERS["snes"]`."""

from metaplastic.outer_loop.baselines import RandomSearch
from metaplastic.outer_loop.evolution_strategies import Cem, Cmaes, Pgpe, Snes, Xnes
from metaplastic.outer_loop.formula_evolution import MuPlusLambda
from metaplastic.outer_loop.genetic_algorithms import Cosyne, Genetic
from metaplastic.outer_loop.nsga2 import Nsga2
from metaplastic.outer_loop.quality_diversity import MapElites
from metaplastic.outer_loop.searcher_settings import SearcherSettings

SEARCHERS: dict[str, type[SearcherSettings]] = {
    "snes": Snes,
    "pgpe": Pgpe,
    "xnes": Xnes,
    "cem": Cem,
    "cmaes": Cmaes,
    "genetic": Genetic,
    "cosyne": Cosyne,
    "nsga2": Nsga2,
    "map_elites": MapElites,
    "mu_plus_lambda": MuPlusLambda,
    "random": RandomSearch,
}
"""kind -> settings"""
