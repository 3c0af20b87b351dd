"""Several tasks in one lifetime, one after another or mixed."""
