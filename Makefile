# Everything a fresh machine needs: Python 3.11 or newer and make. `make demo` and `make test` set up the rest.
PYTHON ?= python3
VENV   ?= .venv
SHELL  := /bin/bash
.SHELLFLAGS := -o pipefail -c
BIN    := $(VENV)/bin
# Where it is set, each of the hundreds of processes that tests start would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE
# What the page is made of: installing builds it.
PAGE   := $(shell find query/page -name node_modules -prune -o -type f -print 2>/dev/null)
# One short line a step of pip's, so that a minute of installing shows where it is.
BRIEF  := awk '/^ *(Collecting|Downloading|Installing collected|Building|Successfully built)/ \
	{ line = $$0; sub(/^ +/, "", line); print "  " substr(line, 1, 90); fflush() }'

.PHONY: help demo parts test faults threads long fuzz lint graph docs proto page bench up clean

help:
	@echo "make demo    start everything, train on digits over 4 ranks, show what is stored"
	@echo "make test    all tests, on a real Kafka and the real ClickHouse engine"
	@echo "make parts   what the tests run on: Java and Maven for Kafka, PostgreSQL, PyTorch"
	@echo "make faults  the fault laboratory: 100 rounds, about an hour (ROUNDS=, SEED=)"
	@echo "make threads  the spool under many threads: ten million rows, and explored schedules (STRIDE=)"
	@echo "make long    what CI plays in a short form, whole: kills, pools, dead streams"
	@echo "make fuzz    a million inputs against all that reads bytes from outside; answers about many random runs"
	@echo "make lint    ruff, import rules, mypy, and Biome for the page"
	@echo "make graph   which room imports which, and every circle"
	@echo "make docs    the documentation as a site, in build/docs/site"
	@echo "make bench   the pipeline's benchmark (JSON last)"
	@echo "make up      runstream up, here"
	@echo "make proto   generate the contract's Python code, and the page's types of it"
	@echo "make page    build the page, when its sources have changed"

# A line of what is done next, with the time: a log shows where the minutes are.
SAY    := printf '[%(%H:%M:%S)T] %s\n' -1

$(BIN)/pip:
	@$(SAY) "making the virtual environment $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml $(PAGE) | $(BIN)/pip
	@$(SAY) "installing runstream and what the demo needs (once; about a minute)"
	@$(BIN)/pip install --disable-pip-version-check --progress-bar off --editable '.[demo]' | $(BRIEF)
	@touch $@

$(VENV)/.dev: pyproject.toml $(PAGE) | $(BIN)/pip
	@$(SAY) "installing runstream and what its tests need (once; about a minute)"
	@$(BIN)/pip install --disable-pip-version-check --progress-bar off --editable '.[dev]' | $(BRIEF)
	@$(SAY) "installed"
	@touch $@ $(VENV)/.demo

demo: $(VENV)/.demo
	@$(BIN)/python examples/demo.py

up: $(VENV)/.demo
	@$(BIN)/runstream up

# Needs no more than the environment's pip: `make -j2 lint parts` installs both kinds of thing at once.
parts: $(BIN)/pip
	@$(SAY) "looking for what the tests run on"
	@PIP=$(abspath $(BIN))/pip sh tests/setup.sh
	@$(SAY) "what the tests run on is there"

# Four at a time on two cores: a third of what a test does is to wait for real processes. tests/support/schedule.py says
# which stay together.
WORKERS ?= 4
test: $(VENV)/.dev parts
	@$(SAY) "testing"
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --durations 60 --durations-min 5
	@$(SAY) "tested"

ROUNDS ?= 100
SEED   ?= 1
faults: $(VENV)/.dev parts
	@$(BIN)/python -m tests.faults --seed $(SEED) --rounds $(ROUNDS)

# The spool under eight threads, ten million rows; and its claim protocol in all schedules with two switches (hours).
threads: $(VENV)/.dev
	@$(BIN)/python -m tests.faults.threads
	@$(BIN)/python -m tests.property.spool_claims --stride $(or $(STRIDE),100)

long: $(VENV)/.dev parts
	@RUNSTREAM_TEST_LONG=1 $(BIN)/python -m pytest $(shell grep -rl 'tests.support.long' tests --include='test_*.py')

fuzz: $(VENV)/.dev
	@$(BIN)/python -m tests.fuzz
	@RUNSTREAM_TEST_WORLDS=12 $(BIN)/python -m pytest -q tests/integration/test_query_truth.py tests/integration/test_curves_truth.py

lint: $(VENV)/.dev
	@$(SAY) "linting"
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy
	$(BIN)/python query/page/build.py --lint
	@$(SAY) "linted"

graph: $(VENV)/.dev
	@$(BIN)/python -m tests.support.import_graph

# In a folder of its own: the generator takes `.cache` beside its configuration for its own, where the tests keep theirs.
docs: $(VENV)/.dev
	@$(SAY) "building the documentation"
	@rm -rf build/docs && mkdir -p build/docs
	@cp -r docs zensical.toml ARCHITECTURE.md CONTRIBUTING.md build/docs
	@$(BIN)/python proto/reference.py build/docs/docs/reference/protocol
	@cd build/docs && $(abspath $(BIN))/zensical build --strict
	@$(SAY) "built build/docs/site/index.html"

bench: $(VENV)/.dev
	@$(BIN)/python -m tests.bench.pipeline

proto: $(VENV)/.dev
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python proto/generate.py
	$(BIN)/python query/page/contract.py

page: $(VENV)/.dev
	$(BIN)/python query/page/build.py

clean:
	rm -rf $(VENV) .demo runstream-data
