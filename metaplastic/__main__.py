"""`python -m metaplastic`: the command line.

Run as a file (`python metaplastic/__main__.py`), Python would put this folder on its path, where the room
`platform` shadows Python's own module `platform` and kills `import torch`. That is refused with one clear line.
"""

import sys


def _is_run_as_a_file() -> bool:
    """Whether Python was given this file or its folder instead of the module's name."""
    return __package__ != "metaplastic"


def run() -> None:
    """Hand over to the command line, unless the package folder itself is on the path."""
    if _is_run_as_a_file():
        print(
            "metaplastic: run me as `python -m metaplastic` or `metaplastic`, not as a file: with the package folder "
            "on Python's path, `metaplastic/platform` hides Python's own `platform` and torch cannot start.",
            file=sys.stderr,
        )
        raise SystemExit(2)
    from metaplastic.cli import main

    main()


if __name__ == "__main__":
    run()
