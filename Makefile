# Two commands do everything: `make demo` and `make test`. Each target does the set-up that it needs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check
GPU := $(or $(GPU_PYTHON),$(BIN)/python)
# Keyed by the content of pyproject.toml, not by its date: a fresh checkout with a kept .venv is up to date.
READY := $(VENV)/ready-$(shell cksum pyproject.toml | cut -d' ' -f1)
# One torch thread per test process: two threads on a busy machine cost 5 to 30 times the time of one.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --quiet --numprocesses 2

.PHONY: help setup finn demo bitstream test test-slow test-gpu verify lint bench clean
.NOTPARALLEL:

help:
	@echo "make demo       set up, run studies/digits.toml, write runs/digits/report.html"
	@echo "make bitstream  make demo, then the design that it recommends as an accelerator in runs/digits/accelerator (minutes)"
	@echo "make test       set up, lint, run the tests (test-slow: the tests that take minutes)"
	@echo "make test-gpu   the tests that need a GPU, where there is one"
	@echo "make verify     prove the RTL: all codes of all formats, netlists; writes docs/verification.md (half an hour)"
	@echo "make setup      make .venv with .venv/bin/hwdse in it; PYTHON=... names the interpreter"
	@echo "make finn       make the environment of FINN+ (two minutes, once), as demo and test do"
	@echo "make lint       ruff and mypy --strict"
	@echo "make bench      run every benchmarks/*.py"
	@echo "make clean      remove caches and build products; .venv and runs are kept"

setup: $(READY)

# torch comes first and is then pinned: otherwise brevitas's dependency unfoldNd may let pip swap it for another build.
$(READY): | $(BIN)/pip
	@echo "set-up: torch"
	@$(BIN)/python -c 'import re, tomllib; p = tomllib.load(open("pyproject.toml", "rb")); \
	    print(*p["build-system"]["requires"], *(d for d in p["project"]["dependencies"] if re.match(r"torch\b", d)), sep="\n")' \
	    > $(VENV)/first.txt
	@$(PIP) --requirement $(VENV)/first.txt
	@$(BIN)/python -c 'import importlib.metadata as m; print("torch==" + m.version("torch"))' > $(VENV)/constraints.txt
	@echo "set-up: hwdse and the rest, with $$(cat $(VENV)/constraints.txt)"
	@$(PIP) --constraint $(VENV)/constraints.txt --no-build-isolation --editable '.[test,synthesis]'
	@$(BIN)/python -m pip check
	@rm -f $(VENV)/ready-* && touch $@

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "hwdse needs Python 3.11 or newer, not %d.%d: make PYTHON=..." % sys.version_info[:2])'
	@echo "set-up: $(VENV), from $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)

# FINN+ in an environment of its own below ~/.cache/hwdse or at $HWDSE_FINN, which knows by itself whether it is ready.
# Without it all else works, and its tests say that they are skipped.
finn: setup
	@$(BIN)/hwdse setup finn || echo "going on without FINN+"

demo: setup finn
	@$(BIN)/hwdse run studies/digits.toml --out runs/digits
	@echo "The report: runs/digits/report.html (open it in a browser)"

bitstream: demo
	@$(BIN)/hwdse build runs/digits best --out runs/digits/accelerator

test: lint finn
	@$(PYTEST) -m "not slow and not verify"

test-slow: setup finn
	@$(PYTEST) -m "slow and not verify"

# GPU_PYTHON=python3 takes an interpreter that has torch and triton already, and sets nothing up: docs/gpu-run.md.
test-gpu: $(if $(GPU_PYTHON),,setup)
	@if $(GPU) -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; \
	    then $(GPU) -m pytest --quiet -m "gpu and not slow" --continue-on-collection-errors tests; \
	    else echo "no test was run: there is no GPU"; fi

verify: setup
	@OMP_NUM_THREADS=1 $(BIN)/python docs/verification.py

lint: setup
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check . || { $(BIN)/ruff format --diff --quiet .; exit 1; }
	@$(BIN)/mypy --strict --no-error-summary
	@echo "lint: ruff and mypy --strict find nothing"

bench: setup finn
	@for file in benchmarks/*.py; do echo "== $$file"; $(BIN)/python "$$file" || exit 1; done

clean:
	@rm -rf build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
