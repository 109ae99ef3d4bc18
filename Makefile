# Two commands are all that a newcomer needs: `make run` and `make test`.
#
#   make run        make .venv, install, start a server on localhost with its data in ./madang-data
#   make test       install what development needs, run every check and the whole test suite
#   make check      ruff, mypy --strict, import-linter, buf, generated code and pages: fast, no tests
#   make unit       the tests that need no process of their own: under a minute
#   make bench      measure, and write benchmarks/RESULTS.md and CLUSTER.md (half an hour; leave the machine alone)
#   make faults     20 rounds of the kill test; 30 minutes of a cluster with 100 faults, to tests/faults/RESULTS.md
#   make fuzz       100,000 inputs that make no sense, to a server of its own: five minutes
#   make generate   generate the contract's Python code from proto/, and docs/settings.md
#   make baseline   take the contract as it is for what later changes must not break (at a release)
#   make format     ruff format, buf format
#   make clean      remove what these made, but for ./madang-data

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := src tests benchmarks scripts
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: run test check unit bench faults fuzz generate baseline format clean

run: $(VENV)/.installed
	@$(BIN)/madang serve $(ARGS)

test: check
	$(BIN)/python -m pytest tests -n 2 --dist worksteal

check: $(VENV)/.installed-dev
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python scripts/generate.py --check
	$(BIN)/python scripts/settings_page.py --check
	PATH="$(CURDIR)/$(BIN):$$PATH" sh scripts/check_contract.sh

unit: $(VENV)/.installed-dev
	$(BIN)/python -m pytest tests/core tests/wire tests/storage tests/services tests/benchmarks

bench: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks $(ARGS)
	$(BIN)/python -m benchmarks cluster $(ARGS)

faults: $(VENV)/.installed-dev
	$(BIN)/python -m tests.faults.kill --rounds 20
	$(BIN)/python -m tests.faults.cluster --minutes 30 --faults 100 --page tests/faults/RESULTS.md $(ARGS)

fuzz: $(VENV)/.installed-dev
	$(BIN)/python -m tests.fuzz --inputs 100000

generate: $(VENV)/.installed-dev
	$(BIN)/python scripts/generate.py
	$(BIN)/python scripts/settings_page.py

baseline: $(VENV)/.installed-dev
	$(BIN)/python scripts/generate.py --image proto/baseline.binpb

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix-only --quiet $(SOURCES)
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/buf format -w proto --path proto/madang

clean:
	rm -rf $(VENV) build src/*.egg-info .mypy_cache .ruff_cache .hypothesis
	find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.made:
	@sh scripts/check_machine.sh "$(PYTHON)"
	@echo "making $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed: $(VENV)/.made pyproject.toml constraints.txt
	@echo "installing madang into $(VENV)"
	@$(PIP) -e . || { echo "madang: pip could not install what is needed; its reason is above" >&2; exit 1; }
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.made pyproject.toml constraints.txt
	@echo "installing madang and its development tools into $(VENV)"
	@$(PIP) -e '.[dev]' || { echo "madang: pip could not install what is needed; its reason is above" >&2; exit 1; }
	@touch $@ $(VENV)/.installed
