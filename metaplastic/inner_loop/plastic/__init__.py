"""Networks whose synapses have a fixed and a plastic part, and how both are found (differentiable plasticity)."""
