"""What every task must keep, checked."""
