"""Tasks given to other libraries, and theirs taken in."""
