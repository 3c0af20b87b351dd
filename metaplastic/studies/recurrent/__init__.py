"""Studies of rules of recurrent networks."""
