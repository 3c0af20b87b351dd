"""What LLVM is told of a kernel's loops, so that it makes vectors of them as one would by hand.

Numba has no words for these, but an intrinsic may write them beside its instructions (LLVM Language Reference,
"noalias and alias.scope metadata" and "llvm.loop.interleave.count"):

- `get` and `put` read and write number j of a row and say which row it is. Different rows never overlap, so that a loop
  over several of them needs no check, and is a loop over vectors.
- `long_vectors` has the loops of a function take one vector of 512 bits at a time where there are such. LLVM prefers
  four of 256 bits, which is for long loops over one row; over four rows there is enough to do at once.
"""

from typing import no_type_check

import llvmlite.binding
import llvmlite.ir
from numba import types
from numba.extending import intrinsic


@intrinsic(prefer_literal=True)
@no_type_check
def get(typing_context, row, j, number):
    """row[j], in a loop in which this row, and nothing else, has this number."""
    del typing_context, j

    def generate(context, builder, signature, arguments):
        place = _place(context, builder, signature, arguments)
        value = builder.load(place, align=4)
        _apart_from_others(builder.module, value, number.literal_value)
        return value

    return row.dtype(row, types.intp, number), generate


@intrinsic(prefer_literal=True)
@no_type_check
def put(typing_context, row, j, value, number):
    """row[j] = value, in a loop in which this row, and nothing else, has this number."""
    del typing_context, j, value

    def generate(context, builder, signature, arguments):
        place = _place(context, builder, signature, arguments)
        stored = builder.store(arguments[2], place, align=4)
        _apart_from_others(builder.module, stored, number.literal_value)
        return context.get_dummy_value()

    return types.void(row, types.intp, row.dtype, number), generate


@intrinsic
@no_type_check
def long_vectors(typing_context):
    """At a function's end: its loops take one vector at a time, as long as there are.

    The function's attribute is clang's.
    """
    del typing_context

    def generate(context, builder, signature, arguments):
        del signature, arguments
        set.add(builder.function.attributes, '"prefer-vector-width"="512"')
        seen = []
        for block in builder.function.blocks:
            seen.append(block)
            ends = block.terminator
            if ends is not None and ends.opname == "br" and ends.operands[0] in seen:
                ends.set_metadata("llvm.loop", _one_at_a_time(builder.module))
        return context.get_dummy_value()

    return types.void(), generate


MOST = 64
"""rows that a loop can tell apart"""


def _place(context, builder, signature, arguments):
    row = context.make_array(signature.args[0])(context, builder, arguments[0])
    return builder.gep(row.data, [arguments[1]], inbounds=True)


def _apart_from_others(module, instruction, number: int) -> None:
    domain = module.add_metadata([llvmlite.ir.MetaDataString(module, "metaplastic rows")])
    rows = [module.add_metadata([llvmlite.ir.MetaDataString(module, f"row {k}"), domain]) for k in range(MOST)]
    instruction.set_metadata("alias.scope", module.add_metadata([rows[number]]))
    instruction.set_metadata("noalias", module.add_metadata(rows[:number] + rows[number + 1 :]))


def _one_at_a_time(module):
    """The name of a loop, which refers to itself, with its wishes."""
    wishes = {"interleave.count": llvmlite.ir.Constant(llvmlite.ir.IntType(32), 1)}
    if llvmlite.binding.get_host_cpu_features().get("avx512f"):
        wishes["vectorize.predicate.enable"] = llvmlite.ir.Constant(llvmlite.ir.IntType(1), 1)
    named = ([llvmlite.ir.MetaDataString(module, f"llvm.loop.{name}"), wish] for name, wish in wishes.items())
    name = module.add_metadata([llvmlite.ir.MetaDataString(module, f"loop {len(module.metadata)}")])
    name.operands = (name, *(module.add_metadata(wish) for wish in named))
    return name
