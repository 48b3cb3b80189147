# Everything from a fresh clone: `make table1` and `make test` make the environment that they need.

VENV ?= .venv
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
CORES ?= $(shell $(PYTHON) -c 'import os; print(os.cpu_count())')
BIN := $(VENV)/bin
# For the commands that the workflow's rules start; recipes call the environment's interpreter itself.
export PATH := $(abspath $(BIN)):$(PATH)

.PHONY: table1 test chaos lint readme clean
.DELETE_ON_ERROR:

table1: $(VENV)/ready
	$(BIN)/python -m pipelines.speed --cores $(CORES)
	$(BIN)/python -m snakemake --cores $(CORES) results/table1.md
	$(BIN)/python -m pipelines.speed --after results/table1.json
	$(BIN)/python -m pipelines.failures results/table1.json
	@cat results/table1.md

# A file's tests share what they set up, so a file stays with one process; one more than there are cores, up to four,
# as those that run Snakemake wait often. In the order of the files, so that the longest do not come last.
PYTEST = $(BIN)/python -m pytest --numprocesses $$(( $(CORES) + 1 )) --maxprocesses 4
test: $(VENV)/ready
	$(PYTEST) --dist loadfile --no-loadscope-reorder

# What `make test` leaves out: every kill, damage and disaster, and the long ways through the pipeline.
chaos: $(VENV)/ready
	$(PYTEST) --dist loadgroup -m chaos

lint: $(VENV)/ready
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m snakefmt --check Snakefile pipelines
	$(BIN)/python .ci/lint_workflow.py

# The table and the figure that README.md shows.
readme: table1
	$(BIN)/python -m pipelines.readme

clean:
	rm -rf results/* .snakemake .cache

$(VENV)/ready: requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "error: Python >= 3.11 is needed; install it or say make PYTHON=/path/to/python" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@
