# The same commands for people and CI. `make serve` and `make test` need nothing but Python 3.11+.
# A CPU-only torch on Linux: PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu"

PYTHON ?= python3
VENV ?= .venv
PIP_ARGS ?=
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
EXTRAS := service,worker,s3,embedded,dev

.DEFAULT_GOAL := help
.PHONY: help install serve test test-slow lint format types check pocket pocket-card \
        chaos load bench-quality policy-table quality-check calibrate bench-speed bench-scores constraints clean

help:  ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml constraints.txt
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -e '.[$(EXTRAS)]'
	@touch $@

install: $(STAMP)  ## create the environment with the pinned versions

serve: $(STAMP)  ## gateway, worker, embedded Redis and the pocket model on http://127.0.0.1:8000
	@exec $(BIN)/python -m launch

test: $(STAMP)  ## the default suite (minutes), a file at a time on two cores
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-slow: $(STAMP)  ## the slow tests; SLOW=tests/service names some of them
	$(BIN)/python -m pytest -m slow $(SLOW)

lint: $(STAMP)  ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(STAMP)  ## ruff: rewrite
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(STAMP)  ## mypy, strict
	$(BIN)/mypy

check: lint types test  ## what must be green before a commit

pocket: $(STAMP)  ## train the pocket model (resumes where it stopped)
	$(BIN)/python -m pocket.train

pocket-card: $(STAMP)  ## recompute the pocket's model card and compare
	$(BIN)/python -m pocket.card

chaos: $(STAMP)  ## kill workers, Redis and gateways under load; nothing may be lost
	$(BIN)/python -m tests.system.chaos

load: $(STAMP)  ## latency and throughput of the service round the engine
	$(BIN)/python -m bench.load

bench-quality: $(STAMP)  ## accuracy by policy and budget on drawn pictures (half an hour on 4 cores)
	$(BIN)/python -m bench.quality --jobs 4 --minutes 28

policy-table: $(STAMP)  ## README's table of policies alone (a quarter of an hour on 4 cores)
	$(BIN)/python -m bench.quality --policies --jobs 4

quality-check: $(STAMP)  ## fails where accuracy at .2 fell more than 2 points below the record
	$(BIN)/python -m bench.quality --reduced --jobs 2 --check docs/quality/quality.json

calibrate: $(STAMP)  ## measure which budget is enough, for asks with budget `auto`
	$(BIN)/python -m bench.calibrate pocket/weights --jobs 4

bench-speed: $(STAMP)  ## answers/s and decode steps against stock generate()
	$(BIN)/python -m bench.speed

bench-scores: $(STAMP)  ## what scoring costs beside prefill
	$(BIN)/python -m bench.scores

constraints:  ## write constraints.txt anew from the ranges in pyproject.toml
	rm -rf build/fresh && $(PYTHON) -m venv build/fresh
	build/fresh/bin/pip install -q $(PIP_ARGS) torch==2.13.0 -e '.[$(EXTRAS)]'
	build/fresh/bin/pip freeze --exclude-editable | sed 's/+cpu$$//' > constraints.txt
	rm -rf build/fresh

clean:  ## remove the environment and everything built
	rm -rf $(VENV) .run .pocket build dist *.egg-info
