"""What `import metaplastic` and `metaplastic --help` cost: the median of five fresh processes, beside torch alone.

The targets are less than 0.3 s beyond torch, and less than 1 s for the help; `tests/test_imports.py` and
`tests/platform/test_cli.py` hold that nothing heavy is loaded at all. Exit code 1 if a target is missed.
Run: python benchmarks/imports.py
"""

import statistics
import subprocess
import sys
import time

REPEATS = 5
TARGET, HELP_TARGET = 0.3, 1.0  # s
TIMED = "import time; start = time.perf_counter(); {}; print(time.perf_counter() - start)"
CASES = {
    "torch": "import torch",
    "metaplastic": "import metaplastic",
    "torch, metaplastic.core, metaplastic.rng": "import torch, metaplastic.core, metaplastic.rng",
    "torch, metaplastic.rng_numba": "import torch, metaplastic.rng_numba",
}


def seconds(statement: str) -> float:
    """Median time of a statement in a fresh process."""
    command = [sys.executable, "-c", TIMED.format(statement)]
    return statistics.median(float(subprocess.check_output(command)) for _ in range(REPEATS))


def help_seconds() -> float:
    """Median wall time of the command line's help, from the start of Python to its end."""
    took = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "metaplastic", "--help"], capture_output=True, check=True)
        took.append(time.perf_counter() - began)
    return statistics.median(took)


def main() -> int:
    took = {name: seconds(statement) for name, statement in CASES.items()}
    print(f"{'import of':<45}{'s':>8}{'beyond torch':>15}")
    for name, value in took.items():
        beyond = f"{value - took['torch']:15.3f}" if name.startswith("torch,") else ""
        print(f"{name:<45}{value:8.3f}{beyond}")
    told = help_seconds()
    print(f"import metaplastic: {took['metaplastic']:.3f} s, within {TARGET} s? {took['metaplastic'] < TARGET}")
    print(f"metaplastic --help: {told:.3f} s, within {HELP_TARGET} s? {told < HELP_TARGET}")
    return int(took["metaplastic"] >= TARGET or told >= HELP_TARGET)


if __name__ == "__main__":
    sys.exit(main())
