# The words of this project. `make check` needs Python >= 3.11 only; the others need root on Debian 12.

PYTHON = $(shell for p in python3 /usr/bin/python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
# Run by its path from elsewhere too.
RUN := $(CURDIR)/$(BIN)/python

.PHONY: help check format test prepare compat sim golden reloads quorum simquorum hostile demo bench micro clean
.DEFAULT_GOAL := help

help:  ## list the words
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 15

$(VENV)/installed: pyproject.toml
	@test -n "$(PYTHON)" || { echo "needs Python >= 3.11 with venv: apt-get install python3-venv" >&2; exit 1; }
	@echo "== virtual environment"
	$(PYTHON) -m venv $(VENV)
	PYCOROSYNC_COMPILE=0 $(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

# A build with the data path compiled, as an installation has it: what `test`, `bench` and the like run.
# COMPILE=0 runs the source as it is.
BUILD := $(CURDIR)/build/compiled
ifneq ($(COMPILE),0)
export PYCOROSYNC_BUILD := $(BUILD)
COMPILED := $(BUILD)/done
endif

$(BUILD)/done: $(VENV)/installed setup.py $(shell find pycorosync -name '*.py')
	@echo "== compile"
	@rm -rf build && mkdir build
	@PYCOROSYNC_COMPILE=1 $(BIN)/python setup.py build --build-lib $(BUILD) >build/log 2>&1 || { tail -30 build/log; exit 1; }
	@touch $@

check: $(VENV)/installed  ## format, lint, types, unit tests: no root, under two minutes
	@echo "== format"; $(BIN)/ruff format --check .
	@echo "== lint"; $(BIN)/ruff check .
	@echo "== types"; $(BIN)/mypy
	@echo "== unit tests"; $(RUN) -m pytest -q -n auto

format: $(VENV)/installed  ## let ruff format and mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: planted packets
planted: $(VENV)/installed  ## faults planted into the core: the simulator finds each
	$(RUN) -m tests.simulator.planted

packets: $(VENV)/installed  ## hostile packets against whole nodes, clear and sealed (COUNT=n SEED=first)
	$(RUN) -m tests.simulator.hostile $(or $(COUNT),350000) $(or $(SEED),1)

prepare:
	@compat-tests/prepare

test: prepare  ## everything that a change must pass: installs what it needs, check, core tests against real corosync
	@$(MAKE) --no-print-directory check $(COMPILED)
	@echo "== tests against the distribution's corosync"
	$(RUN) -m pytest -c compat-tests/pytest.ini -v --durations=10 -m "not long and not packages" compat-tests

compat: prepare $(VENV)/installed $(COMPILED)  ## all tests against real corosync, the long ones too
	$(RUN) -m pytest -c compat-tests/pytest.ini -v --durations=20 -m "not packages" compat-tests

.PHONY: test-packages
test-packages: prepare $(VENV)/installed  ## Debian 12 and 13: our packages in place of corosync, and back
	@compat-tests/packages/prepare
	$(RUN) -m pytest -c compat-tests/pytest.ini -v --durations=20 compat-tests/packages
	@echo "== the other tests, on the files of the package under the system's Python"
	cd compat-tests && $(RUN) -m packages.installed -v -m "not long and not packages" .

golden: prepare $(VENV)/installed $(COMPILED)  ## states of clusters, recorded from real corosync and compared in one run (ONLY=word ARGS)
	cd compat-tests && $(RUN) -m golden.run $(if $(ONLY),--only $(ONLY)) $(ARGS)

reloads: prepare $(VENV)/installed $(COMPILED)  ## random reloads of three nodes under load (KINDS=ooo|ror|oro SEED ARGS)
	cd compat-tests && $(RUN) -m config.campaign $(or $(KINDS),ooo) --seed $(or $(SEED),1) $(ARGS)

hostile: prepare $(VENV)/installed $(COMPILED)  ## hostile local clients
	$(RUN) -m pytest -c compat-tests/pytest.ini -v -s compat-tests/hostile

sim: $(VENV)/installed  ## whole clusters in virtual time, lives made up at random (SEEDS=n SEED=first)
	$(RUN) -m tests.simulator.chaos $(or $(SEED),1) $(or $(SEEDS),$(if $(SEED),1,100))

simquorum: $(VENV)/installed  ## quorum of whole clusters in virtual time, lives made up at random (SEEDS=n SEED=first)
	$(RUN) -m tests.simulator.quorum_chaos $(or $(SEED),1) $(or $(SEEDS),$(if $(SEED),1,100))

quorum: prepare $(VENV)/installed $(COMPILED)  ## votequorum scenarios in the lab, against the recordings (NAMES KINDS=o|r|ro RECORD=1)
	cd compat-tests && PYTHONPATH=$(CURDIR) $(RUN) -m quorum.record $(if $(RECORD),record,compare) $(NAMES) --kinds $(or $(KINDS),o)

demo: prepare $(VENV)/installed $(COMPILED)  ## a cluster of three, two of ours and a real one, with Debian's Pacemaker: a node dies
	cd compat-tests && $(RUN) -m demo

BENCH := $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SIZES),--sizes $(SIZES)) \
	$(if $(NODES),--nodes $(NODES)) $(if $(WRITE),--write $(abspath $(WRITE))) $(ARGS)
bench: export BENCH_ARGUMENTS = $(strip $(foreach v,ROUNDS SECONDS SIZES NODES ARGS,$(if $($(v)),$(v)=$($(v)))))
bench: prepare $(VENV)/installed $(COMPILED)  ## CPG load on real corosync and on this one (ROUNDS SECONDS SIZES NODES WRITE ARGS)
	cd compat-tests && $(RUN) -m bench.run $(BENCH)

micro: $(VENV)/installed $(COMPILED)  ## the daemon's CPU time for each message, without client or scheduler (ARGS)
	cd compat-tests && PYTHONPATH=$(PYCOROSYNC_BUILD):$(CURDIR) $(RUN) -m bench.micro $(ARGS)

clean:  ## remove what the other words made
	@cd compat-tests && python3 -m lab tidy --all
	rm -rf $(VENV) .cache build .mypy_cache .pytest_cache .ruff_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
