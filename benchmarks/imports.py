"""What `import metaplastic` costs: the median of five fresh processes, beside torch alone.

The target is less than 0.3 s beyond torch; `tests/test_imports.py` holds that nothing heavy is loaded at all.
Run: python benchmarks/imports.py
"""

import statistics
import subprocess
import sys

REPEATS = 5
TARGET = 0.3  # s
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


def main() -> None:
    took = {name: seconds(statement) for name, statement in CASES.items()}
    print(f"{'import of':<45}{'s':>8}{'beyond torch':>15}")
    for name, value in took.items():
        beyond = f"{value - took['torch']:15.3f}" if name.startswith("torch,") else ""
        print(f"{name:<45}{value:8.3f}{beyond}")
    print(f"import metaplastic: {took['metaplastic']:.3f} s, within {TARGET} s? {took['metaplastic'] < TARGET}")


if __name__ == "__main__":
    main()
