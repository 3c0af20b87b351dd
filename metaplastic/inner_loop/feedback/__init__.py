"""Rules of layered networks whose credit comes down feedback connections, or from perturbations."""
