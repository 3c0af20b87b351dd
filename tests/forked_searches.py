"""Commands in processes of their own that start at once: a server imports everything, then forks for each.

As a module it gives tests a `Server`; as a program it is one. A child runs the command line with the given words, both
outputs in a log file, without drawing reports (which takes longer than a search).
"""

import json
import logging
import os
import subprocess
import sys
import time
import traceback
from contextlib import redirect_stderr
from pathlib import Path

import metaplastic
from metaplastic.platform.evaluate import genome_of
from metaplastic.platform.experiment_file import load
from metaplastic.platform.search import new_searcher


class Server:
    """A context manager; `start` gives a child's process number, `wait` its exit code (negative: a signal)."""

    def __enter__(self):
        folders = [Path(metaplastic.__file__).parents[1], Path(__file__).parent]
        path = os.pathsep.join(str(folder) for folder in folders)
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        )
        assert json.loads(self._process.stdout.readline()) == "ready"
        return self

    def __exit__(self, *error):
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()

    def _ask(self, **question):
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def start(self, *words, log, **options):
        """Begin `metaplastic WORDS`; `fsize` limits its files, `uid` is the user it becomes, `patch` is run first."""
        return self._ask(words=[str(word) for word in words], log=str(log), **options)

    def wait(self, pid):
        """The exit code of a child, when it has ended."""
        return self._ask(wait=pid)

    def run(self, *words, log, **options):
        """Exit code and output of a command."""
        code = self.wait(self.start(*words, log=log, **options))
        return code, Path(log).read_text()


def is_alive(pid):
    """Whether a process runs; one that has ended and was not waited for does not."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def until(condition, seconds=60.0):
    """Wait for a condition, and fail if it does not come true."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)
    return found


def remains(run):
    """All that a run leaves, but for times and workers: records, champion, comparison, the last checkpoint, all bytes.

    The searcher's pickle is another one in every process (PyTorch writes addresses of its memory into it), so it is
    compared by what it proposes next.
    """
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for record in records:
        for name in ("seconds", "lifetimes_per_second", "workers", "faults"):
            record.pop(name, None)
    names = ["champion.yaml", "champion.json", "champion.safetensors", "comparison.json", "genome.json"]
    files = {name: (run / name).read_bytes() for name in names if (run / name).exists()}
    last = max((run / "checkpoints").glob("generation-*"))
    files |= {f"{last.name}/{name}": (last / name).read_bytes() for name in ("state.json", "arrays.safetensors")}
    experiment = load(run / "experiment.yaml")
    searcher = new_searcher(experiment, genome_of(experiment))
    searcher.restore((last / "searcher.bin").read_bytes())
    return json.dumps(records), files, searcher.ask().numpy().tobytes()


def _child(words, log, fsize=None, uid=None, patch=""):
    import resource

    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(handle, stream)
    if fsize is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (fsize, fsize))
    from metaplastic.cli import main  # before the user changes, who may not be allowed to read where it lies

    if uid is not None:
        os.setgroups([])
        os.setegid(uid)
        os.seteuid(uid)
    exec(patch, {})
    sys.argv = ["metaplastic", *words]
    main()


def _warm():
    """Import, by a whole search, all that a search imports."""
    import tempfile

    import torch
    from small_search import small

    from metaplastic.platform import finish, search

    torch.set_num_threads(1)
    finish.write_report = lambda run: run / "report.html"
    logging.disable()
    with tempfile.TemporaryDirectory() as folder, open(os.devnull, "w") as nobody, redirect_stderr(nobody):
        search.search(small("generations=1"), Path(folder) / "run")
    logging.disable(logging.NOTSET)


def _fork(question):
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        os.close(0)
        _child(**question)
        code = 0
    except SystemExit as ended:
        code = ended.code or 0
    except Exception:  # noqa: BLE001  the log has it, the exit code tells it
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _serve():
    _warm()
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        question = json.loads(line)
        wait = question.get("wait")
        answer = os.waitstatus_to_exitcode(os.waitpid(wait, 0)[1]) if wait else _fork(question)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    _serve()
