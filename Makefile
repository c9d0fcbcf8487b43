# Two commands from a bare clone: `make run` and `make test`. Both set up .venv first.
PYTHON ?= python3
TORCH  ?= cpu
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.ready-$(TORCH)

# The CPU wheels live on their own index, asked for torch alone; where it cannot be reached pip
# falls back to the others. TORCH=cuda takes the default build.
TORCH_INDEX := $(if $(filter cpu,$(TORCH)),--extra-index-url https://download.pytorch.org/whl/cpu)
# Either build satisfies the requirement: where the other one is installed, it must make room.
TORCH_AGAIN := $(if $(filter-out $(STAMP),$(wildcard $(VENV)/.ready-*)),--force-reinstall)
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: run test test-slow test-gpu bench lint types check check-core mutants clean help

run: $(STAMP)  ## run the suite quick and write its report
	$(BIN)/hzbench run quick

test: $(STAMP)  ## run all default tests
	$(BIN)/python -m pytest -n 2 -m "not slow and not gpu and not benchmark"

test-slow: $(STAMP)  ## run the tests that take minutes
	$(BIN)/python -m pytest -n 2 -m slow

test-gpu: $(STAMP)  ## run the tests that need CUDA (make TORCH=cuda test-gpu)
	$(BIN)/python -m pytest -m gpu

bench: $(STAMP)  ## time kernels, draws, networks and recursions against their baselines, and a GPU (TORCH=cuda); a page
	@mkdir -p hzbench-out
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -s -m benchmark tests/benchmarks --benchmark-json=hzbench-out/benchmarks.json
	$(BIN)/hzbench report --benchmarks hzbench-out/benchmarks.json

check-core: $(STAMP)  ## judge the whole theory: the suite core (minutes)
	$(BIN)/hzbench run core

mutants: $(STAMP)  ## plant every bug that the suite quick must find
	$(BIN)/hzbench mutants quick

lint: $(STAMP)  ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)  ## mypy --strict
	$(BIN)/mypy

check: lint types test  ## all of the gate

clean:  ## remove what the other targets made
	rm -rf $(VENV) hzbench-out build dist *.egg-info

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:[^#]*##/\t/'

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --upgrade "pip>=24" "setuptools>=77"
	$(PIP) install --no-deps --retries 0 $(TORCH_AGAIN) $(TORCH_INDEX) "torch>=2.6,<2.14"
	$(PIP) install --editable ".[dev]"
	@rm -f $(VENV)/.ready-*
	@touch $@
