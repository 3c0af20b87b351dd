# Needs Linux, make and Python 3.11 or newer; everything else is installed into .venv from requirements.txt.
#   make demo    the shortest way to see something evolve     make test    everything CI runs
#   make slow    tests that take minutes                      make bench   the benchmarks
#   make cluster-tests  a real Slurm of two nodes, killed and simulated pools (apt-get install slurm-wlm munge iproute2)
#   make typed   every day's tests, shapes checked as well    make neurogym  tests of NeuroGym's tasks, in an environment of its own
#   make prometheus     a metrics port that Prometheus could read, in an environment with ray[default]

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.complete
NEUROGYM := .venv-neurogym
PROMETHEUS := .venv-prometheus
# how the tests are spread over processes; `make test TEST_WORKERS=0` runs them in one
TEST_WORKERS ?= 2
PYTEST_FLAGS ?= -q -n $(TEST_WORKERS) --dist loadfile
# each of those processes computes on one thread: two on every core wait for each other, ten times longer at worst
wheel-test typed slow neurogym: export OMP_NUM_THREADS ?= 1
PYTEST := -m pytest -c $(CURDIR)/pyproject.toml --rootdir $(CURDIR) -p no:cacheprovider $(PYTEST_FLAGS)
# Checking every shape at run time (jaxtyping, beartype) makes what steps in Python two to three times slower: every day
# the two loops have it, all else has it in `make typed` and wherever pytest is called by hand.
TYPED := tests/inner_loop tests/outer_loop
PLAIN := tests/tasks tests/platform tests/studies tests/clusters $(wildcard tests/test_*.py)
UNTYPED := -o addopts="--import-mode=importlib --strict-markers"

.PHONY: help demo test lint format types env neurogym prometheus typed slow cluster-tests examples bench wheel wheel-test clean

help:
	@sed -n '2,6s/^# *//p' Makefile

# ---- the environment: made once, made again when the pins or the packaging change
env: $(STAMP)

$(STAMP): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "metaplastic needs Python 3.11 or newer, $(PYTHON) is older; try make PYTHON=python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: env
	$(BIN)/python -m metaplastic search examples/evolve_digit_learner.yaml

# ---- checks
test: lint types wheel-test examples

lint: env
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

format: env
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: env
	$(BIN)/pyright --pythonpath $(BIN)/python

wheel: env
	@rm -rf build dist
	$(BIN)/python -m build --wheel --no-isolation --outdir dist . > /dev/null

# The tests run against the installed wheel, from an empty folder. A second, passing environment holds the wheel alone
# and borrows the rest from the first through a .pth file, so nothing large is installed twice.
PURELIB := -c 'import sysconfig; print(sysconfig.get_path("purelib"))'

wheel-test: wheel
	set -e; folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; python=$$folder/env/bin/python; \
		$(BIN)/python -m venv --without-pip "$$folder/env"; \
		$(BIN)/python $(PURELIB) > "$$($$python $(PURELIB))/borrowed.pth"; \
		$(BIN)/python -m pip --python $$python install --quiet --disable-pip-version-check \
			--no-deps --ignore-installed dist/metaplastic-*.whl; \
		chmod 755 "$$folder"; mkdir "$$folder/empty"; cd "$$folder/empty"; \
		export METAPLASTIC_TEST_INSTALLED=1; \
		$$python $(PYTEST) -o pythonpath=$(CURDIR)/tests -m "not slow" $(addprefix $(CURDIR)/,$(TYPED)); \
		$$python $(PYTEST) -o pythonpath=$(CURDIR)/tests -m "not slow" $(UNTYPED) $(addprefix $(CURDIR)/,$(PLAIN))

# NeuroGym pins gymnasium < 1, so it has an environment of its own, which borrows all else. It is installed before it
# borrows, so that pip does not touch the first environment.
neurogym: $(NEUROGYM)/.complete
	$(NEUROGYM)/bin/python $(PYTEST) tests/tasks/test_neurogym.py

$(NEUROGYM)/.complete: $(STAMP)
	rm -rf $(NEUROGYM)
	$(BIN)/python -m venv --without-pip $(NEUROGYM)
	$(BIN)/python -m pip --python $(NEUROGYM)/bin/python install --quiet --disable-pip-version-check neurogym==2.3.1
	$(BIN)/python $(PURELIB) > "$$($(NEUROGYM)/bin/python $(PURELIB))/borrowed.pth"
	@touch $@

# Ray's metrics agent (ray[default]) in an environment of its own, which borrows all else
prometheus: $(PROMETHEUS)/.complete
	$(PROMETHEUS)/bin/python $(PYTEST) -n 0 -rs tests/platform/test_ray_metrics.py

$(PROMETHEUS)/.complete: $(STAMP)
	rm -rf $(PROMETHEUS)
	$(BIN)/python -m venv --without-pip $(PROMETHEUS)
	$(BIN)/python -m pip --python $(PROMETHEUS)/bin/python install --quiet --disable-pip-version-check \
		"aiohttp>=3.14.4" aiohttp_cors colorful grpcio opencensus opentelemetry-exporter-prometheus \
		opentelemetry-proto "opentelemetry-sdk>=1.30" prometheus_client py-spy requests smart_open virtualenv
	$(BIN)/python $(PURELIB) > "$$($(PROMETHEUS)/bin/python $(PURELIB))/borrowed.pth"
	@touch $@

typed: env
	$(BIN)/python $(PYTEST) -m "not slow" tests

slow: env
	$(BIN)/python $(PYTEST) -m slow tests

# One process, since each starts a Ray or a Slurm of its own; the reasons of what is skipped are printed.
CLUSTER_TESTS := tests/clusters $(wildcard tests/platform/test_kill*.py) tests/platform/test_pool_simulation.py
cluster-tests: env
	$(BIN)/python $(PYTEST) -n 0 -m slow -rs $(CLUSTER_TESTS)

examples: env
	@set -e; count=0; for file in examples/*.py; do \
		[ -e "$$file" ] || continue; echo "== $$file"; $(BIN)/python "$$file"; count=$$((count + 1)); done; \
		echo "$$count examples ran"

bench: env
	@set -e; for file in benchmarks/*.py; do \
		[ -e "$$file" ] || continue; echo "== $$file"; $(BIN)/python "$$file"; done

clean:
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
