# The two commands: `make run` starts the daemon, `make test` proves the checkout.
PYTHON ?= python3
HOOKFUSE_HOME ?= .hookfuse
export HOOKFUSE_HOME
BIN := .venv/bin

.PHONY: run test demo bench soak lint types tests clean

run: .venv/.installed
	$(BIN)/hookfuse run

demo: .venv/.installed
	$(BIN)/hookfuse demo

# FIGURES=1,4 takes some of them, RUNS=5 more often, PROCESSES=1 with one process; QUICK=1 shows that it works.
bench: .venv/.installed-bench
	$(BIN)/python -m benchmarks $(if $(FIGURES),--figures $(FIGURES)) $(if $(RUNS),--runs $(RUNS)) \
		$(if $(PROCESSES),--processes $(PROCESSES)) $(if $(QUICK),--quick)

soak: .venv/.installed-bench
	$(BIN)/python -m benchmarks.soak $(if $(MINUTES),--minutes $(MINUTES)) $(if $(PROCESSES),--processes $(PROCESSES))

test: lint types tests

lint: .venv/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/.installed-test
	$(BIN)/mypy

tests: .venv/.installed-test
	$(BIN)/pytest -n 2 --dist worksteal

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("hookfuse needs Python >= 3.11, and $(PYTHON) is " + sys.version.split()[0] + "; name another: make PYTHON=python3.12 ...") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'

.venv/.installed: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

.venv/.installed-test: .venv/.installed
	$(BIN)/python -m pip install --quiet --group test
	touch $@

.venv/.installed-bench: .venv/.installed
	$(BIN)/python -m pip install --quiet --group bench
	touch $@

clean:
	rm -rf .venv .benchmarks build dist .mypy_cache .ruff_cache .hypothesis
