"""Compile Triton kernels for an H100 that need not be there; prints JSON: rule -> bytes of machine code."""

import json

import triton
from tiny_trials import RateRNN, formula
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton_lives import HEBB

from metaplastic.inner_loop.kernels import triton_kernel
from metaplastic.inner_loop.kernels.trial_source import Shape
from metaplastic.inner_loop.rules.library import RULES
from metaplastic.inner_loop.trial_plan import form_of

CONSTANTS = {"plastic": True, "perturbed": True, "is_noisy": True, "ROWS": 64, "COLUMNS": 64}
WHOLE = {"individuals", "lifetimes", "steps", "N", "M", "inputs", "kept", "waits"}


def size_of(rule, tiled: bool) -> int:
    """Bytes of machine code of the rule's kernel."""
    kernel = triton_kernel.kernel(Shape(form_of(RateRNN(noise=0.1), rule), sparse=False), tiled)
    kinds = {"keys": "*i64", "units": "*i32", **dict.fromkeys(CONSTANTS, "constexpr"), **dict.fromkeys(WHOLE, "i32")}
    names = kernel.arg_names
    signature = {name: "i32" if name.startswith("count_") else kinds.get(name, "*fp32") for name in names}
    constants = {(names.index(name),): value for name, value in CONSTANTS.items()}
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants)
    made = triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": 4})
    return len(made.asm["cubin"])


if __name__ == "__main__":
    hebb, miconi = formula(**HEBB), RULES["miconi17"]()
    sizes = {"hebb": size_of(hebb, False), "sanger": size_of(RULES["sanger"](normalise="row"), False)}
    sizes |= {"miconi17": size_of(miconi, False), "hebb in tiles": size_of(hebb, True)}
    print(json.dumps(sizes | {"miconi17 in tiles": size_of(miconi, True)}))
