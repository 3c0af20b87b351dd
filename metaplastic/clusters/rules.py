"""What names, quantities and variables must look like, so that no cluster manager refuses them hours later.

Names follow RFC 1123 and RFC 1035, as Kubernetes reads them; words of `#SBATCH` lines hold nothing that Slurm would
read in its own way. Sizes of memory are powers of 1024, whatever the manager calls them.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from metaplastic.settings import wrong

UNITS = {"M": 1, "G": 1024, "T": 1024**2}
"""MiB in one"""
SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL", re.IGNORECASE)
"""a variable with this in its name is taken for a secret"""
ASSIGNED = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(?![\s$]|[\"']?\$|$)")
"""a variable that is given a literal value in a shell line"""


def job_name(text: str) -> str:
    """A name that every manager takes: DNS-1035, and short, because KubeRay hangs words of its own on it."""
    if not re.fullmatch(r"[a-z]([-a-z0-9]{0,45}[a-z0-9])?", text):
        raise wrong(
            f"is {text!r}, wanted at most 47 lower-case letters, digits and '-', a letter first and no '-' last"
            f"{_mended(text)}"
        )
    return text


def label(text: str) -> str:
    """An RFC 1123 label, as the name of a namespace."""
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", text):
        raise wrong(
            f"is {text!r}, wanted at most 63 lower-case letters, digits and '-', with no '-' at an end{_mended(text)}"
        )
    return text


def subdomain(text: str) -> str:
    """An RFC 1123 subdomain, as the name of a claim, a secret or a service account: labels joined by dots."""
    if len(text) > 253 or not all(re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", part) for part in text.split(".")):
        raise wrong(
            f"is {text!r}, wanted at most 253 lower-case letters, digits, '-' and '.', with a letter or digit at the "
            f"ends{_mended(text)}"
        )
    return text


def as_job_name(text: str) -> str:
    """The job name that is nearest to some text: `My_Run.2` gives `my-run-2`."""
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:47].rstrip("-")
    return name if name[:1].isalpha() else f"run-{name}"[:47].rstrip("-")


def _mended(text: str) -> str:
    return f" (did you mean '{as_job_name(text)}'?)" if text.strip() else ""


def memory(value: Any) -> str:
    """An amount of memory as we write it: '32G'."""
    found = re.fullmatch(r"\s*(\d+)\s*([MGT])(i?B?)\s*", str(value), re.IGNORECASE)
    if not found or isinstance(value, bool):
        hint = f" (did you mean '{value}G'?)" if re.fullmatch(r"\d+", str(value)) else ""
        raise wrong(f"is {value!r}, wanted a whole number and a unit of M, G or T (powers of 1024), like 32G{hint}")
    text = f"{int(found[1])}{found[2].upper()}"
    if mebibytes(text) < 1024:
        raise wrong(f"is {value!r}, wanted at least 1G: Ray itself takes half of that")
    return text


def mebibytes(text: str) -> int:
    """MiB in an amount of memory."""
    return int(text[:-1]) * UNITS[text[-1]]


def cpu_quantity(value: Any) -> str:
    """CPUs of a pod: '2', '0.5' or '500m'."""
    found = re.fullmatch(r"(\d+)m|(\d+(?:\.\d{1,3})?)", str(value))
    if isinstance(value, bool) or not found or (float(found[2]) if found[2] else int(found[1]) / 1000) <= 0:
        raise wrong(f"is {value!r}, wanted CPUs above 0, like 2, 0.5 or 500m")
    return str(value)


def whole(value: Any) -> int:
    """A whole number, and nothing that only looks like one."""
    if isinstance(value, bool) or not isinstance(value, int | str) or not re.fullmatch(r"[+-]?\d+", str(value)):
        raise wrong(f"is {value!r}, wanted a whole number")
    return int(value)


def at_least(low: int) -> AfterValidator:
    """Refuse numbers below `low`."""

    def check(value: int) -> int:
        if value < low:
            raise wrong(f"is {value}, wanted at least {low}")
        return value

    return AfterValidator(check)


def hours(value: Any) -> float:
    """A time limit in hours, above 0."""
    clock = re.fullmatch(r"(\d+):(\d\d)(?::(\d\d))?", str(value))
    hint = f" (did you mean {int(clock[1]) + int(clock[2]) / 60:g}?)" if clock else ""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = -1.0
    if isinstance(value, bool) or not 0 < number <= 24 * 365:
        raise wrong(f"is {value!r}, wanted hours as a number above 0, at most a year{hint}")
    return number


def absolute(text: str) -> str:
    """An absolute path in plain characters: it stands in scripts, manifests and `#SBATCH` lines alike."""
    if not text.startswith("/"):
        raise wrong(f"is {text!r}, wanted an absolute path")
    if not re.fullmatch(r"[\w./+@=,-]+", text):
        raise wrong(f"is {text!r}, wanted a path of letters, digits and ./+@=,_- (no spaces: Slurm splits at them)")
    if ".." in text.split("/"):
        raise wrong(f"is {text!r}, wanted a path without '..'")
    return text.rstrip("/") or "/"


def slurm_word(text: str) -> str:
    """A word of an `#SBATCH` line, as the name of a partition or a constraint."""
    if not re.fullmatch(r"[\w.,:+&|*()\[\]-]+", text):
        raise wrong(
            f"is {text!r}, wanted one word of letters, digits and .,:+&|*()[]_- (Slurm reads the rest its own way)"
        )
    return text


def image(text: str) -> str:
    """A container image with a tag or a digest, so that all pods run the same."""
    if not re.fullmatch(r"[a-z0-9][\w.:/-]*(?:@sha256:[0-9a-f]{64})?", text) or "//" in text:
        raise wrong(f"is {text!r}, wanted a container image like registry.example/lab/metaplastic:0.1.0")
    if ":" not in text.rsplit("/", 1)[-1]:
        raise wrong(f"is {text!r}, wanted an image with a tag or a digest, so that all pods run the same: {text}:0.1.0")
    if text.endswith(":latest"):
        raise wrong(f"is {text!r}, wanted a tag that does not move; 'latest' may be another image on each node")
    return text


def variables(env: Any) -> dict[str, str]:
    """Environment variables of the job: no secrets, since what is written here lies in files and logs."""
    if not isinstance(env, dict):
        raise wrong(f"is {env!r}, wanted variables by name, like {{OMP_NUM_THREADS: 1}}")
    for name, value in env.items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", str(name)):
            raise wrong(f"has a variable {name!r}, wanted a name of letters, digits and _, no digit first")
        if SECRET.search(name):
            raise wrong(f"has {name}, which looks like a secret and would lie readable in files and logs; {ELSEWHERE}")
        if name.startswith("RAY_AUTH") or name in ("RAY_ADDRESS", "RAY_TMPDIR"):
            raise wrong(f"has {name}, which the launcher sets itself")
        if not isinstance(value, str | int | float) or isinstance(value, bool) or "\n" in str(value):
            raise wrong(f"has {name}: {value!r}, wanted a text of one line or a number (true and false in quotes)")
    return {str(name): str(value) for name, value in env.items()}


ELSEWHERE = (
    "keep it where the job finds it by itself: ~/.netrc for W&B, a Kubernetes Secret (kubernetes.secrets), the cloud's "
    "own roles"
)


def shell_line(line: str) -> str:
    """A line of shell that prepares the job; it assigns no secret."""
    if "\n" in line:
        raise wrong(f"has {line!r}, wanted one line each")
    for name in ASSIGNED.findall(line):
        if SECRET.search(name):
            raise wrong(f"assigns {name}, which looks like a secret and would lie readable in files; {ELSEWHERE}")
    return line


JobName = Annotated[str, AfterValidator(job_name)]
Label = Annotated[str, AfterValidator(label)]
Subdomain = Annotated[str, AfterValidator(subdomain)]
Memory = Annotated[str, BeforeValidator(memory)]
CpuQuantity = Annotated[str, BeforeValidator(cpu_quantity)]
Positive = Annotated[int, BeforeValidator(whole), at_least(1)]
Count = Annotated[int, BeforeValidator(whole), at_least(0)]
Hours = Annotated[float, BeforeValidator(hours)]
AbsolutePath = Annotated[str, AfterValidator(absolute)]
SlurmWord = Annotated[str, AfterValidator(slurm_word)]
Image = Annotated[str, AfterValidator(image)]
Variables = Annotated[dict[str, str], BeforeValidator(variables)]
ShellLine = Annotated[str, AfterValidator(shell_line)]
