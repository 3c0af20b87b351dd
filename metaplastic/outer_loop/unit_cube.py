"""Back into the unit cube: points of R^G are folded at its faces, as light between two mirrors.

    reflect(x) = x mod 2            where that is at most 1
                 2 - (x mod 2)      elsewhere                                                            (1)

Why not clip: clipping sends everything outside a face to the face itself. Many samples become one point, so the
searcher sees a plateau exactly where it needs a slope, and the ends of every gene's range are sampled far too often.
Folding keeps the density continuous and leaves a sample inside the cube as it was, bit for bit.
"""

from jaxtyping import Float
from torch import Tensor


def reflect(points: Float[Tensor, "P G"]) -> Float[Tensor, "P G"]:
    """The points of the unit cube that (1) makes of points of R^G."""
    folded = points.remainder(2.0)
    return folded.where(folded <= 1.0, 2.0 - folded)
