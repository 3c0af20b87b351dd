"""Tasks: pure descriptions of worlds, as batched tensor operations. `registry.make(id)` gives one by its name."""
