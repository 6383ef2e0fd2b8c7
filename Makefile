# The two commands a newcomer needs: `make demo` and `make test`. Each sets up .venv by itself.
# Needed on the machine: Python 3.11 or later (with venv), make, git.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.PHONY: help demo test check simulate fuzz bench bench-peers format lock clean

help:
	@echo "make demo         put two soft phones on a call and watch it happen"
	@echo "make test         run the whole test suite"
	@echo "make check        format, lint, types, layers and fast tests, under a minute"
	@echo "make simulate     a million simulated calls, with crashes and bad networks (CALLS=…, FIRST=…: other seeds)"
	@echo "make fuzz         an hour of coverage-guided fuzzing (MINUTES=…, TARGET=dialogs: one of its targets)"
	@echo "make bench        measure; prints a table, fails if a call has become dearer"
	@echo "make bench-peers  fetch Asterisk into a folder, to be measured beside"
	@echo "make format       rewrite the sources in house format"
	@echo "make lock         renew requirements.lock from pyproject.toml"
	@echo "make clean        remove .venv and what the tools keep between runs"

demo: $(READY)
	@$(BIN)/offhook demo

# Two processes: most of the tests wait for a network, a timer or a phone.
TEST_PROCESSES ?= 2
test: $(READY)
	$(BIN)/pytest --numprocesses $(TEST_PROCESSES) --dist worksteal

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/pytest -q -m "not slow" --numprocesses $(TEST_PROCESSES) --dist worksteal

# A world that breaks prints its seed; the line to replay it comes with it.
CALLS ?= 1000000
FIRST ?= 0
simulate: $(READY)
	@$(BIN)/python -m tests.simulation --calls $(CALLS) --first $(FIRST)

# What is at fault is written to tests/data/fuzz, and fails in the suite from then on.
MINUTES ?= 60
TARGET ?=
fuzz: $(READY)
	@$(BIN)/python -m tests.fuzz $(TARGET) --minutes $(MINUTES)

bench: $(READY)
	@$(BIN)/python -m benchmarks

# Asterisk to measure against and to test with, from a folder; nothing is installed but mmdebstrap.
bench-peers:
	@command -v mmdebstrap >/dev/null || { echo "install mmdebstrap (a Debian package) first"; exit 1; }
	bash tests/peers/fetch-asterisk

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The lock holds versions and hashes only: no index, no address, no comment that names one.
lock: $(READY)
	$(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --extra dev --all-build-deps \
	    --no-header --no-annotate --no-emit-options --no-emit-index-url --no-emit-find-links \
	    --no-emit-trusted-host --output-file requirements.lock pyproject.toml

clean:
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# One stamp file says that .venv holds what the lock says; it is older than the lock when it does not.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "offhook needs Python 3.11 or later; found '$(PYTHON)'. Set PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
