"""Tasks around tasks: what is seen, done, felt and when."""
