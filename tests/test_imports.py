"""The direction of imports, what `import metaplastic` costs, the shadowed `platform`, and a few rules about files.

Imports are parsed, not run, so one inside a function counts as well.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import metaplastic

PACKAGE = Path(metaplastic.__file__).parent
FILES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))
ROOMS = {"tasks", "inner_loop", "outer_loop", "platform", "studies", "clusters"}

MAY_IMPORT = {
    "tasks": set(),
    "inner_loop": set(),
    "outer_loop": set(),
    "clusters": set(),
    "platform": {"tasks", "inner_loop", "outer_loop"},
    "studies": {"tasks", "inner_loop", "outer_loop", "platform"},
}
"""the other rooms that a room may import; everything outside the rooms (core, rng, fields) imports none of them"""

DOORS = {"__init__.py", "__main__.py", "cli.py"}
"""files outside the rooms that lead into them"""

LIVES_IN_ONE_FILE_OF = {"wandb": "platform", "evotorch": "outer_loop"}

HEAVY = {
    "torch",
    "ray",
    "wandb",
    "evotorch",
    "sklearn",
    "matplotlib",
    "sympy",
    "numba",
    "pydantic",
    "gymnasium",
    "ribs",
}


def room_of(path: Path) -> str:
    """The room a file of the package is in; '' for the files outside the rooms."""
    return path.parts[0] if len(path.parts) > 1 else ""


def imports_of(path: Path) -> set[str]:
    """Full names of the modules that a file imports, relative ones resolved, `from a import b` as `a.b`."""
    found = set()
    for node in ast.walk(ast.parse((PACKAGE / path).read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            here = ("metaplastic", *path.parent.parts)
            base = [*here[: len(here) - node.level + 1]] if node.level else []
            start = ".".join([*base, *([node.module] if node.module else [])])
            found |= {f"{start}.{alias.name}" for alias in node.names}
    return found


def rooms_imported_by(path: Path) -> set[str]:
    """Rooms that a file imports, its own left out."""
    parts = [name.split(".") for name in imports_of(path)]
    return {p[1] for p in parts if p[0] == "metaplastic" and len(p) > 1 and p[1] in ROOMS} - {room_of(path)}


def libraries_imported_by(path: Path) -> set[str]:
    """Top-level names that a file imports."""
    return {name.split(".")[0] for name in imports_of(path)}


def files_that_import(library: str) -> list[str]:
    return [str(path) for path in FILES if library in libraries_imported_by(path)]


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_a_room_imports_only_the_rooms_below_it(room):
    wrong = {
        str(path): extra
        for path in FILES
        if room_of(path) == room and (extra := rooms_imported_by(path) - MAY_IMPORT[room])
    }
    assert not wrong, f"{room} may import {sorted(MAY_IMPORT[room]) or 'no other room'}"


def test_the_contract_page_and_the_generator_import_no_room():
    outside = [path for path in FILES if not room_of(path) and path.name not in DOORS]
    assert {"core.py", "rng.py", "rng_numba.py", "rng_triton.py"} <= {path.name for path in outside}
    assert {path.name: found for path in outside if (found := rooms_imported_by(path))} == {}


@pytest.mark.parametrize(("library", "room"), LIVES_IN_ONE_FILE_OF.items())
def test_a_platform_library_lives_in_one_file_of_its_room(library, room):
    users = files_that_import(library)
    assert len(users) <= 1, f"{library} belongs in one file of {room}"
    assert all(user.startswith(f"{room}/") for user in users)


def test_only_files_that_are_named_after_ray_know_it():
    users = files_that_import("ray")
    assert "platform/ray_pool.py" in users
    assert all(re.fullmatch(r"platform/ray_\w+\.py", user) for user in users), users


def test_only_adapters_know_the_environments_of_others():
    for library in ("gymnasium", "neurogym", "torchrl"):
        users = files_that_import(library)
        assert users
        assert all(user.startswith("tasks/adapters/") for user in users), users


def test_only_tracking_knows_wandb():
    assert set(files_that_import("wandb")) <= {"platform/tracking.py"}


def test_launchers_need_no_torch():
    assert [str(path) for path in FILES if room_of(path) == "clusters" and "torch" in libraries_imported_by(path)] == []


def test_only_the_form_for_gpus_and_kernels_know_triton():
    users = [path for path in files_that_import("triton") if path != "rng_triton.py"]
    assert all(path.startswith("inner_loop/") for path in users)


def test_no_file_is_a_drawer_for_odds_and_ends():
    assert [str(path) for path in FILES if path.stem in {"utils", "misc", "helpers", "common"}] == []


def test_no_file_has_more_than_350_lines():
    lengths = {str(path): len((PACKAGE / path).read_text().splitlines()) for path in FILES}
    assert {path: length for path, length in lengths.items() if length > 350} == {}


GLOBAL_GENERATORS = re.compile(
    r"manual_seed\(|torch\.(rand|randn|randint|randperm|normal|bernoulli|multinomial)\b|torch\.Generator"
    r"|np\.random\.|(?<!\")numpy\.random|^\s*(import random|from random import)",
    re.MULTILINE,
)


def test_no_number_comes_from_a_generator_with_a_state():
    """A name in quotes draws nothing: it is what a searcher's pickle may hold."""
    found = {
        str(path): GLOBAL_GENERATORS.findall(text)
        for path in FILES
        if not path.name.startswith("rng") and GLOBAL_GENERATORS.search(text := (PACKAGE / path).read_text())
    }
    assert found == {}


def python(*words: str, cwd: Path, path: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python with `path` (the package's parent if absent) as PYTHONPATH."""
    return subprocess.run(
        [sys.executable, *words],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(path or PACKAGE.parent), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_importing_the_package_loads_nothing_heavy(tmp_path):
    code = "import sys, metaplastic; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    done = python("-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert HEAVY & set(done.stdout.split()) == set()


@pytest.mark.parametrize("name", ["metaplastic.core", "metaplastic.rng"])
def test_the_contract_page_and_the_generator_load_only_what_they_need(name, tmp_path):
    code = f"import sys, {name}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = python("-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    needless = {"ray", "wandb", "evotorch", "sklearn", "matplotlib", "numba", "gymnasium", "ribs"}
    assert needless & set(done.stdout.split()) == set()


def test_an_unknown_name_is_refused_with_the_names_there_are():
    with pytest.raises(AttributeError, match="module 'metaplastic' has no attribute 'Gnee'; public names"):
        _ = metaplastic.Gnee


def test_every_public_name_can_be_had():
    assert [name for name in metaplastic.__all__ if not hasattr(metaplastic, name)] == []


@pytest.mark.parametrize("target", [PACKAGE / "__main__.py", PACKAGE])
def test_the_package_run_as_a_file_says_so_in_one_line(target, tmp_path):
    done = python(str(target), cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "run me as `python -m metaplastic`" in done.stderr


@pytest.mark.parametrize(
    "words", [("-m", "metaplastic"), ("-c", "import metaplastic"), ("-c", "import metaplastic.core")]
)
def test_a_start_from_inside_the_package_folder_is_explained(words):
    done = python(*words, cwd=PACKAGE)
    assert done.returncode != 0
    assert "the package folder" in done.stderr
    assert "hides Python's own 'platform'" in done.stderr.splitlines()[-1]


def test_the_package_folder_on_the_path_of_a_worker_is_explained(tmp_path):
    done = python("-c", "import metaplastic", cwd=tmp_path, path=Path(f"{PACKAGE.parent}{os.pathsep}{PACKAGE}"))
    assert done.returncode != 0
    assert "ship the repository root or the wheel to Ray" in done.stderr.splitlines()[-1]


def test_a_copy_of_the_package_elsewhere_starts(tmp_path):
    shutil.copytree(PACKAGE, tmp_path / "shipped" / "metaplastic", ignore=shutil.ignore_patterns("__pycache__"))
    code = "import metaplastic, platform; print(metaplastic.__file__, platform.system())"
    done = python("-c", code, cwd=tmp_path, path=tmp_path / "shipped")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(tmp_path))


@pytest.mark.skipif("METAPLASTIC_TEST_INSTALLED" not in os.environ, reason="only `make wheel-test` asks for the wheel")
def test_the_tests_run_against_the_installed_wheel():
    assert Path(__file__).parents[1] not in PACKAGE.resolve().parents
    assert (PACKAGE / "py.typed").exists()


def test_every_folder_of_tests_is_run_by_make_test():
    root = Path(__file__).parents[1]
    lines = [line for line in (root / "Makefile").read_text().splitlines() if line.startswith(("TYPED", "PLAIN"))]
    for folder in sorted(path.parent for path in (root / "tests").rglob("test_*.py")):
        name = folder.relative_to(root).as_posix()
        assert any(re.search(rf"\b{name}\b", line) for line in lines), f"{name} is in neither list"
