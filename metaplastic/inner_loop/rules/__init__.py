"""The local rules by name (`library.RULES`), each a formula with its published numbers."""
