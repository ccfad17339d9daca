# The two commands: `make run` starts the daemon, `make test` proves the checkout.
PYTHON ?= python3
HOOKFUSE_HOME ?= .hookfuse
export HOOKFUSE_HOME
BIN := .venv/bin
# What runs is what was tested: each package in the version of the lock, and its file with the hash of the lock.
INSTALL := $(BIN)/python -m pip install --quiet --require-hashes
LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header $(if $(UPGRADE),--upgrade)

.PHONY: run test demo docs bench soak side-by-side lint types tests lock clean

run: .venv/.installed
	$(BIN)/hookfuse run

demo: .venv/.installed
	$(BIN)/hookfuse demo

# A site in build/docs/; a link or an anchor that leads nowhere ends it. `.venv/bin/mkdocs serve` shows it while one writes.
docs: .venv/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo "build/docs/index.html"

# FIGURES=1,4 takes some of them, RUNS=5 more often, PROCESSES=1 with one process; QUICK=1 shows that it works.
bench: .venv/.installed-bench
	$(BIN)/python -m benchmarks $(if $(FIGURES),--figures $(FIGURES)) $(if $(RUNS),--runs $(RUNS)) \
		$(if $(PROCESSES),--processes $(PROCESSES)) $(if $(QUICK),--quick)

soak: .venv/.installed-bench
	$(BIN)/python -m benchmarks.soak $(if $(MINUTES),--minutes $(MINUTES)) $(if $(PROCESSES),--processes $(PROCESSES))

# Random histories through the code of before the rooms were carved and through that of now: what came of them is compared.
# BEFORE=path names another checkout, HISTORIES=20 lives fewer.
BEFORE ?= .before
side-by-side: .venv/.installed-test $(BEFORE)
	$(BIN)/python -m tests.side_by_side $(BEFORE) $(or $(HISTORIES),300)

.before:
	git worktree add --quiet --detach $@ 84642bc

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

.venv/.installed: .venv/bin/python pyproject.toml requirements/run.txt requirements/build.txt
	$(INSTALL) -r requirements/run.txt -r requirements/build.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

.venv/.installed-test: .venv/.installed requirements/test.txt
	$(INSTALL) -r requirements/test.txt
	touch $@

.venv/.installed-docs: .venv/.installed requirements/docs.txt
	$(INSTALL) -r requirements/docs.txt
	touch $@

.venv/.installed-bench: .venv/.installed requirements/bench.txt
	$(INSTALL) -r requirements/bench.txt
	touch $@

# Locks again what pyproject.toml asks for; what is locked and still fits stays, but with UPGRADE=1. The peers of the
# benchmarks ask for most, so they are first: all run on the same versions.
lock: .venv/bin/python
	$(BIN)/python -m pip install --quiet 'uv>=0.9,<1'
	$(LOCK) pyproject.toml --group bench --output-file requirements/bench.txt
	$(LOCK) pyproject.toml --constraint requirements/bench.txt --output-file requirements/run.txt
	$(LOCK) pyproject.toml --group test --constraint requirements/bench.txt --output-file requirements/test.txt
	$(LOCK) pyproject.toml --group docs --constraint requirements/bench.txt --output-file requirements/docs.txt
	$(LOCK) --group build --output-file requirements/build.txt

clean:
	rm -rf .venv .benchmarks build dist .mypy_cache .ruff_cache .hypothesis
