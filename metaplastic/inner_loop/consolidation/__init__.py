"""What protects old knowledge: transforms of the weight changes that any gradient or layered rule makes."""
