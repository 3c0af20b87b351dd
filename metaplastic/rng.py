"""The counter-based random numbers of metaplastic: every number is a hash of a key and a counter (rng_version 1).

All arithmetic is on 64-bit words that wrap round; `>>>` shifts zeros in.

    mix(z):   z = (z ^ z>>>30) A1;  z = (z ^ z>>>27) A2;  z ^ z>>>31      values: SplitMix64's finaliser   (1)
    fmix(z):  z = (z ^ z>>>33) B1;  z = (z ^ z>>>33) B2;  z ^ z>>>33      keys: MurmurHash3's finaliser    (2)
    root(seed)    = fmix(seed + DELTA)                                                                       (3)
    fold(key, d)  = fmix(key + DELTA (d + 1))        the child number d of a key                             (4)
    words(key, n) = mix(key + GAMMA [1 .. n])        n words                                                 (5)

Two finalisers keep child keys and values apart. Steele, Lea & Flood 2014 (SplitMix); Appleby 2011 (MurmurHash3).
No generator has a state, so a number depends on its key and its place alone: not on the batch, the chunk, the worker,
the order of completion or a restart. Integer draws are the same bits on every device, in PyTorch (here), Numba
(`rng_numba.py`; `rng_arrays.py` where there are many) and Triton (`rng_triton.py`); Gaussian ones may differ in the
last bits between kinds of device.

The schedule of keys, fixed with the version (`lifetime_keys` and the functions below it):

    K  = fold(fold(root(seed), stream), lifetime)      parameters of a lifetime: fold(K, 0)
    Kn = fold(fold(K, 1), trial)                       conditions: fold(Kn, 0); noise of step t: fold(fold(Kn, 1), t)
    a life without trials: step t: fold(fold(K, 2), t);      its episode k: fold(fold(K, 3), k)

Keys and words are int64 tensors that hold the 64 bits; device follows the key, draws are float32 or int64.
"""

import math
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from jaxtyping import Bool, Float32, Float64, Int, Int64
from torch import Tensor

from metaplastic import rng_arrays

RNG_VERSION = 1
"""raised when any number here changes; kept in every experiment's record"""

GAMMA = 0x9E3779B97F4A7C15
DELTA = 0xD1B54A32D192ED03
A1, A2 = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
B1, B2 = 0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53

TASK, POLICY, MUTATION, INIT, NOISE = range(5)
"""streams: what a task draws, action choice, the searchers' draws, initial weights, noise inside the network"""

Gaussian = Literal["boxmuller", "integer"]
"""how a normal is made of a word (`normal`)"""

_FEW = 8
"""words of a key up to which a compiler makes them one by one"""
_KEPT = 1 << 14
"""most numbers in a row that are kept in memory"""
_BLOCK = 1 << 18
"""numbers that `uniforms` and `normals` make at once on a CPU: bounds the memory of the words behind them"""
_NUMBERS: dict[tuple[int, str, int, int], Tensor] = {}
"""(n, device, first, step) -> `numbers`. A plain dict, because torch.compile sees through it"""


def _signed(value: int) -> int:
    """The int64 whose bits are `value` modulo 2^64."""
    return (value + (1 << 63)) % (1 << 64) - (1 << 63)


def _shift(z: Tensor, places: int) -> Tensor:
    """z >>> places."""
    return (z >> places).bitwise_and_((1 << (64 - places)) - 1)


def _finalise(z: Tensor, shifts: tuple[int, int, int], first: int, second: int) -> Tensor:
    """(1) and (2), in place: `z` must be ours."""
    z.bitwise_xor_(_shift(z, shifts[0])).mul_(_signed(first))
    z.bitwise_xor_(_shift(z, shifts[1])).mul_(_signed(second))
    return z.bitwise_xor_(_shift(z, shifts[2]))


def root(seed: int | Int64[Tensor, "..."]) -> Int64[Tensor, "..."]:
    """The key of a seed (3); a Python int, taken modulo 2^64, gives a scalar, a tensor of seeds one key each."""
    if isinstance(seed, int):
        seed = torch.tensor(_signed(seed), dtype=torch.int64)
    return _finalise(seed + _signed(DELTA), (33, 33, 33), B1, B2)


def fold(key: Int64[Tensor, "..."], data: int | Int[Tensor, "..."]) -> Int64[Tensor, "..."]:
    """The child key number `data` (4); key and data broadcast. A Python int is taken modulo 2^64."""
    if isinstance(data, int):
        z = key + _signed(DELTA * (data + 1))
    else:
        z = key + (data.to(torch.int64) + 1) * _signed(DELTA)
    return _finalise(z, (33, 33, 33), B1, B2)


def words(key: Int64[Tensor, "*key"], n: int, first: int = 0) -> Int64[Tensor, "*key n"]:
    """Words number first .. first + n - 1 of each key (5)."""
    if _are_many(key, n):
        return rng_arrays.words(key, n, first)
    return _finalise(key[..., None] + numbers(n, key.device, first + 1, GAMMA), (30, 27, 31), A1, A2)


def _are_many(key: Tensor, n: int) -> bool:
    """Whether `rng_arrays` makes them faster; the bits are the same."""
    return key.device.type == "cpu" and key.numel() * n >= rng_arrays.FROM


def numbers(n: int, device: torch.device | str, first: int = 0, step: int = 1) -> Int64[Tensor, " n"]:
    """step [first .. first + n - 1], modulo 2^64, from memory where it was made before; never write to it.

    A compiler takes `arange` for an index that it may calculate with. Products of indices with our constants overflow:
    in its own arithmetic, which is an error, or in C++, where that is undefined and gave other numbers. What comes from
    memory it can only multiply. So inside a step `fold` is told these numbers, not an `arange`.
    """
    place = (n, str(device), first, step)
    if place not in _NUMBERS:
        made = torch.arange(first, first + n, dtype=torch.int64, device=device).mul_(_signed(step))
        if n > _KEPT or torch.compiler.is_compiling():
            return made
        _NUMBERS[place] = made
    return _NUMBERS[place]


def word(key: Int64[Tensor, "*key"], n: int) -> Int64[Tensor, "*key"]:
    """Word number n of each key: `words(key, n + 1)[..., n]`, in one piece."""
    return _finalise(key + _signed(GAMMA * (n + 1)), (30, 27, 31), A1, A2)


def each_word(key: Int64[Tensor, "*key"], n: int) -> Int64[Tensor, "*key n"]:
    """`words(key, n)`; a compiler is given few words one by one, since it makes slow loops of short last axes."""
    if torch.compiler.is_compiling() and n <= _FEW:
        return torch.stack([word(key, i) for i in range(n)], -1)
    return words(key, n)


def uniform(w: Int64[Tensor, "*B"]) -> Float32[Tensor, "*B"]:
    """Uniform in [0, 1) on the grid of 2^-24, exact in float32."""
    return _shift(w, 40).to(torch.float32).mul_(2.0**-24)


def below(w: Int64[Tensor, "*B"], n: int | Int[Tensor, "..."]) -> Int64[Tensor, "..."]:
    """A whole number in [0, n), 0 < n <= 2^31; no number is more than n / 2^32 too frequent."""
    return _shift(_shift(w, 32) * n, 32)


def grid(p: float) -> float:
    """The probability that `coin` really uses for a Python float: p rounded to 2^-24, exact in float32."""
    if not 0 <= p <= 1:
        raise ValueError(f"p is {p}; a coin needs a probability in [0, 1]")
    return round(p * 2**24) * 2.0**-24


def coin(w: Int64[Tensor, "*B"], p: float | Float32[Tensor, "..."]) -> Bool[Tensor, "..."]:
    """True with probability p: a float on the grid of 2^-24, or a float32 tensor compared as it is."""
    return uniform(w) < (p if isinstance(p, Tensor) else grid(p))


def _radius(w: Tensor) -> Tensor:
    """sqrt(-2 ln u1), u1 = ((w >>> 40) + 1) 2^-24 in (0, 1]."""
    return _shift(w, 40).add_(1).to(torch.float32).mul_(2.0**-24).log_().mul_(-2.0).sqrt_()


def normal(w: Int64[Tensor, "*B"], gaussian: Gaussian = "boxmuller") -> Float32[Tensor, "*B"]:
    """Standard normal, one a word: Box & Muller's cosine (to 5.8 sd), or `normal_int`, the same bits everywhere."""
    if gaussian == "integer":
        return normal_int(w)
    angle = w.bitwise_and(0xFFFFFF).to(torch.float32).mul_(2.0**-24).mul_(2.0 * math.pi)
    return _radius(w).mul_(angle.cos_())


def normal_int(w: Int64[Tensor, "*B"]) -> Float32[Tensor, "*B"]:
    """Nearly normal, the same bits everywhere: the sum of four 16-bit fields (excess kurtosis -0.3, within 3.46 sd)."""
    total = w.bitwise_and(0xFFFF).add_(_shift(w, 48)).sub_(131070)
    total.add_((w >> 16).bitwise_and_(0xFFFF)).add_((w >> 32).bitwise_and_(0xFFFF))
    return total.to(torch.float32).mul_(math.sqrt(3.0) / 65536.0)


def exponential(w: Int64[Tensor, "*B"], mean: float | Float32[Tensor, "..."]) -> Float32[Tensor, "..."]:
    """Exponential with this mean, for continuous quantities only (discrete ones take a `Table`)."""
    return uniform(w).neg_().add_(1.0).log_().neg_() * mean


def rayleigh(w: Int64[Tensor, "*B"], scale: float | Float32[Tensor, "..."]) -> Float32[Tensor, "..."]:
    """Rayleigh: the length of a plane vector of normals with this standard deviation each."""
    return _radius(w) * scale


def permutation(key: Int64[Tensor, "*key"], n: int) -> Int64[Tensor, "*key n"]:
    """A random order of 0 .. n - 1 for each key."""
    return words(key, n).argsort(dim=-1, stable=True)


def choose(key: Int64[Tensor, "*key"], n: int, k: int) -> Int64[Tensor, "*key k"]:
    """k different numbers of 0 .. n - 1 in random order: the first k of `permutation(key, n)`.

    Raises:
        ValueError: if k is more than n.
    """
    if not 0 <= k <= n:
        raise ValueError(f"k is {k}; of {n} things 0 to {n} can be chosen")
    return permutation(key, n)[..., :k]


def uniforms(key: Int64[Tensor, "*key"], *shape: int) -> Float32[Tensor, "..."]:
    """Uniform numbers of shape key.shape + shape: `uniform(words(key, prod(shape)))`."""
    return _in_blocks(key, shape, uniform)


def normals(key: Int64[Tensor, "*key"], *shape: int, gaussian: Gaussian = "boxmuller") -> Float32[Tensor, "..."]:
    """Standard normals of shape key.shape + shape: `normal(words(key, prod(shape)), gaussian)`."""
    n = math.prod(shape)
    if gaussian == "integer" or not _are_many(key, n):
        return _in_blocks(key, shape, lambda some: normal(some, gaussian))
    u1, angle = rng_arrays.pairs(key, n)
    return u1.log_().mul_(-2.0).sqrt_().mul_(angle.cos_()).reshape(key.shape + shape)


def _in_blocks(key: Tensor, shape: tuple[int, ...], draw: Callable[[Tensor], Tensor]) -> Tensor:
    """`draw(words(key, prod(shape)))`; on a CPU in blocks, which changes the memory it takes but not the numbers."""
    n = math.prod(shape)
    if key.device.type != "cpu" or key.numel() * n <= _BLOCK or torch.compiler.is_compiling():
        return draw(each_word(key, n)).reshape(key.shape + shape)
    rows = key.reshape(-1).split(max(1, _BLOCK // n))
    blocks = [[draw(words(some, min(_BLOCK, n - first), first)) for first in range(0, n, _BLOCK)] for some in rows]
    return torch.cat([torch.cat(block, dim=1) for block in blocks]).reshape(key.shape + shape)


def _guide(cuts: Tensor) -> tuple[Tensor, int, int]:
    """Where to look for a number among the cuts: place of the first cut above each cell of [0, 2^32), bits of a cell,
    and the most cuts that one cell holds (Chen & Asau 1974: a guide table replaces the search by a look or two)."""
    bits, counts = 32, cuts.new_zeros(1)
    for bits in (24, 22, 20, 18):
        counts = torch.bincount(cuts[cuts < 1 << 32] >> bits, minlength=1 << (32 - bits))
        if counts.max() <= 1:
            break
    starts = torch.arange(1 << (32 - bits)) << bits
    # a cut at a cell's own start is counted by the guide already
    inside = torch.bincount(cuts[(cuts < 1 << 32) & (cuts % (1 << bits) > 0)] >> bits, minlength=1)
    return torch.bucketize(starts, cuts, right=True), bits, int(inside.max())


class Table:
    """A discrete distribution whose draws are the same bits on every device.

    The cumulative probabilities are rounded once to 2^-32 (in float64, on the CPU) and compared as whole numbers.
    """

    def __init__(self, support: Sequence[float] | Tensor, probs: Sequence[float] | Tensor) -> None:
        """The values [n] (whole numbers stay int64, others become float32) and their probabilities [n].

        Raises:
            ValueError: if the lengths differ or the probabilities are negative, not finite, or do not sum to 1.
        """
        values = torch.as_tensor(support).cpu()
        chances = torch.as_tensor(probs, dtype=torch.float64).cpu()
        if values.ndim != 1 or values.shape != chances.shape or not len(values):
            raise ValueError(
                f"support has shape {tuple(values.shape)} and probs {tuple(chances.shape)}; "
                "a table needs two lists of one length, at least 1"
            )
        total = float(chances.sum())
        if not (bool((chances >= 0).all()) and abs(total - 1.0) < 1e-6):
            raise ValueError(f"probs are {chances.tolist()}; wanted none below 0 and a sum of 1; divide by {total:g}")
        self.support = values.to(torch.float32 if values.is_floating_point() else torch.int64)
        self.cuts = (chances.cumsum(0) / total * 2.0**32).round().to(torch.int64)
        self._guide, self._cell_bits, self._looks = _guide(self.cuts)

    def to(self, device: torch.device | str) -> "Table":
        """The same table on another device, so that `sample` copies nothing there."""
        moved = object.__new__(Table)
        moved.support, moved.cuts = self.support.to(device), self.cuts.to(device)
        moved._guide, moved._cell_bits, moved._looks = self._guide.to(device), self._cell_bits, self._looks
        return moved

    def index(self, w: Int64[Tensor, "*B"]) -> Int64[Tensor, "*B"]:
        """The drawn places in `support`: how many cuts are not above the word's upper half."""
        u, guide, cuts = _shift(w, 32).reshape(-1), self._guide.to(w.device), self.cuts.to(w.device)
        place = guide.index_select(0, u >> self._cell_bits)
        for _ in range(self._looks):
            place = place + (cuts.index_select(0, place) <= u)
        return place.reshape(w.shape)

    def sample(self, w: Int64[Tensor, "*B"]) -> Float32[Tensor, "*B"] | Int64[Tensor, "*B"]:
        """The drawn values, one a word."""
        return self.support.to(w.device).index_select(0, self.index(w).reshape(-1)).reshape(w.shape)

    @property
    def probabilities(self) -> Float64[Tensor, " n"]:
        """The exact probability of each value, after the rounding to 2^-32."""
        return self.cuts.diff(prepend=self.cuts.new_zeros(1)).to(torch.float64) / 2.0**32

    @property
    def mean(self) -> float:
        """The exact expected value."""
        return float((self.probabilities * self.support.to(torch.float64)).sum())


def lifetime_keys(
    seed: int | Int64[Tensor, ""], lifetime: int | Int[Tensor, "*L"], stream: int = TASK
) -> Int64[Tensor, "*L"]:
    """K of the schedule, one key a lifetime number, on the device of `lifetime`.

    `seed` is a whole number, or an int64 scalar that is already a key (then it stands in the place of `root(seed)`).
    """
    key = root(seed) if isinstance(seed, int) else seed
    if isinstance(lifetime, Tensor):
        key = key.to(lifetime.device)
    return fold(fold(key, stream), lifetime)


def parameter_keys(lifetime_key: Int64[Tensor, "*L"]) -> Int64[Tensor, "*L"]:
    """Keys of what a lifetime draws once, at its start."""
    return fold(lifetime_key, 0)


def trial_keys(lifetime_key: Int64[Tensor, "..."], trial: int | Int[Tensor, "..."]) -> Int64[Tensor, "..."]:
    """Kn of the schedule; broadcasts."""
    return fold(fold(lifetime_key, 1), trial)


def condition_keys(trial_key: Int64[Tensor, "*L"]) -> Int64[Tensor, "*L"]:
    """Keys of what a trial draws once, at its start."""
    return fold(trial_key, 0)


def noise_keys(trial_key: Int64[Tensor, "..."], step: int | Int[Tensor, "..."]) -> Int64[Tensor, "..."]:
    """Keys of a trial's noise at a step; broadcasts."""
    return fold(fold(trial_key, 1), step)


def step_keys(lifetime_key: Int64[Tensor, "..."], step: int | Int[Tensor, "..."]) -> Int64[Tensor, "..."]:
    """Keys of a step in a life that has no trials; broadcasts."""
    return fold(fold(lifetime_key, 2), step)


def episode_keys(lifetime_key: Int64[Tensor, "..."], episode: int | Int[Tensor, "..."]) -> Int64[Tensor, "..."]:
    """Lifetime keys of later episodes, where an adapter starts again by itself; broadcasts."""
    return fold(fold(lifetime_key, 3), episode)
