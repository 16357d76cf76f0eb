# Every target sets up what it needs: a fresh clone and Python 3.11, 3.12 or 3.13 are enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Where torch comes from, if not from the default index, e.g. make setup TORCH_INDEX=<url of an index with CPU builds>
TORCH_INDEX ?=
STORE ?= runs

.PHONY: install setup demo test proofs fuzz check bench ui clean

# What runs need, and what developers need on top of it.
install: $(VENV)/.installed
setup: $(VENV)/.tools

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { echo "Python 3.11, 3.12 or 3.13 is needed; say which with make setup PYTHON=/path/to/python3.11"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	touch $@

$(VENV)/.tools: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: install
	$(BIN)/dmm run --store $(STORE)
	@echo "Next: open the report; \`make ui\` shows MLflow; \`source $(VENV)/bin/activate\` brings dmm: see \`dmm --help\` and README.md."

test: setup
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal -m "not heavy"

# Heavy proofs: processes and Ray heads that are killed, and every script of tests/benchmarks at its smallest size.
proofs: setup
	$(BIN)/python -m pytest --numprocesses 2 -m heavy

# Odd input drawn with a new seed, and twenty times as much of it as in `make test`; FUZZ_SEED=<n> repeats a run.
FUZZ_SEED ?= $(shell date +%s)
fuzz: setup
	@echo "seed $(FUZZ_SEED); \`make fuzz FUZZ_SEED=$(FUZZ_SEED)\` repeats this run"
	DMM_FUZZ_SEED=$(FUZZ_SEED) DMM_FUZZ_EFFORT=20 $(BIN)/python -m pytest tests/jobs/test_fuzz.py

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	.ci/audit $(BIN)

bench: setup
	for script in $(filter-out tests/benchmarks/test_%,$(wildcard tests/benchmarks/*.py)); do echo "== $$script"; $(BIN)/python $$script || exit 1; done

ui: install
	$(BIN)/dmm ui --store $(STORE)

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .import_linter_cache
