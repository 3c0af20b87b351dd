"""Every network, by the name that an experiment file gives it."""

from metaplastic.core import Network
from metaplastic.inner_loop.networks.feedforward import Feedforward
from metaplastic.inner_loop.networks.gated import GRU, LSTM
from metaplastic.inner_loop.networks.leaky_rnn import LeakyRNN
from metaplastic.inner_loop.networks.modified_gru import ModifiedGRU
from metaplastic.inner_loop.networks.plastic_rnn import PlasticRNN
from metaplastic.inner_loop.networks.rate_rnn import RateRNN
from metaplastic.inner_loop.networks.spiking import SpikingRNN
from metaplastic.inner_loop.networks.working_memory import WorkingMemory

NETWORKS: dict[str, type[Network]] = {
    "feedforward": Feedforward,
    "rate_rnn": RateRNN,
    "leaky_rnn": LeakyRNN,
    "plastic_rnn": PlasticRNN,
    "spiking_rnn": SpikingRNN,
    "working_memory": WorkingMemory,
    "lstm": LSTM,
    "gru": GRU,
    "modified_gru": ModifiedGRU,
}
"""kind -> network"""
