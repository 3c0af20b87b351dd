"""What happens within a lifetime: networks, learning rules, objectives, kernels, recordings."""
