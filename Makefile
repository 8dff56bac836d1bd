PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
WORKERS ?= 2
STAMP := $(VENV)/.installed
export OMP_NUM_THREADS ?= 1

.PHONY: help install demo test ray slurm-e2e check generate format faults conformance bench bench-server bench-harvest bench-sae bench-sae-quality bench-store bench-query bench-paths bench-inspect bench-calibration bench-interventions bench-intervention-plans bench-plans bench-circuits bench-graphs bench-comparing scale-e2e paper-plan peer-files calibrate planted-directions pocket-dictionaries criteria-table bench-planted pocket-models bench-world-pairs clean

help:
	@echo "make demo          install, then run the main job through a real MCP client"
	@echo "make test          install, then run all mandatory tests"
	@echo "make check         format, lint, types, import layers, budgets, drift"
	@echo "make generate      rewrite schemas, tool reference and error index"
	@echo "make ray           the launcher tests on a Ray cluster of two nodes; make test has one of them"
	@echo "make slurm-e2e     the same tests and a small investigation on a real Slurm of one node"
	@echo "make faults        the long fault tests of the job engine"
	@echo "make conformance   the official MCP conformance suite and Inspector (needs npm)"
	@echo "make calibrate     is this lab right, on models whose truth is known"
	@echo "make bench-NAME    one benchmark: server, harvest, sae, sae-quality, store, query, paths, inspect, interventions, planted"
	@echo "make dictionary-formats   read what sparsify and dictionary_learning write, and compare codes"
	@echo "make planted-directions   how many planted directions training recovers, and from twins without them"
	@echo "make pocket-dictionaries  a dictionary for every layer of a model in the box, measured"
	@echo "make criteria-table  the bundled criteria in both models in the box, beside what chance gives"
	@echo "make bench-rates     false discoveries and coverage of intervals by simulation"
	@echo "make pocket-models train the models in the box again"

# torch first: an already installed torch satisfies every later requirement and keeps CUDA wheels away from CPU machines
$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e ".[torch,plots,gym,remote,gguf,slurm,ray,saelens,transformerlens,nnsight,dev]"
	touch $(STAMP)

install: $(STAMP)

demo: $(STAMP)
	$(BIN)/python -m interp_lab_server.demo --workspace demo-workspace

test: $(STAMP)
	$(BIN)/python -m pytest -q -n $(WORKERS) -m "not ray and not slurm"
	$(BIN)/python -m pytest -q -m ray tests/e2e/test_a_node_dies.py

# every test on a Ray cluster of two nodes on this machine, which it must have for itself
ray: $(STAMP)
	$(BIN)/python -m pytest -q -m ray

# a real slurmctld with one node here, and with two: apt-get install slurm-wlm munge, and root
slurm-e2e: $(STAMP)
	$(BIN)/python -m pytest -q -m slurm tests/contract/test_launchers.py tests/e2e/test_on_slurm.py tests/e2e/test_ranks_over_machines.py

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports
	$(BIN)/python scripts/check_budgets.py
	$(BIN)/python scripts/generate.py --check

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

generate: $(STAMP)
	$(BIN)/python scripts/generate.py
	$(BIN)/python tests/contract/test_tool_surface.py

faults: $(STAMP)
	INTERP_LAB_FAULTS=long $(BIN)/python -m pytest -q tests/faults tests/unit/jobs/test_job_machine.py

conformance: $(STAMP)
	$(BIN)/python tests/conformance/run.py

bench: bench-server bench-store bench-query

bench-server: $(STAMP)
	$(BIN)/python benchmarks/server/bench.py

bench-store: $(STAMP)
	$(BIN)/python benchmarks/store/bench.py

bench-query: $(STAMP)
	$(BIN)/python benchmarks/query/bench.py

# peers whose requirements contradict ours come without them, into a folder that only this benchmark sees
SAE_PEERS := eai-sparsify natsort simple-parsing docstring-parser schedulefree dictionary-learning

bench-sae: $(STAMP)
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --upgrade --target $(VENV)/sae-peers $(SAE_PEERS)
	PYTHONPATH=$(VENV)/sae-peers $(BIN)/python benchmarks/sae/bench.py --write benchmarks/results/sae.json

bench-inspect: $(STAMP)
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --upgrade --target $(VENV)/inspect-peer interp-lab==3.1.0
	OMP_NUM_THREADS=1 INSPECT_PEER=$(abspath $(VENV)/inspect-peer) $(BIN)/python benchmarks/inspect/bench.py

bench-sae-quality: $(STAMP)
	$(BIN)/python benchmarks/sae_quality/bench.py

# the peer has this package's import name, so only a process of its own sees its folder
# FIRST is the first of 101 seeds that no reported figure has used
FIRST ?= 1000
bench-calibration: $(STAMP)
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --upgrade --target $(VENV)/peer interp-lab==3.1.0
	$(BIN)/python benchmarks/calibration/bench.py --part held:16:$(FIRST) --part whole:1:$$(($(FIRST) + 80)) --out .calibration --peer $(VENV)/peer

# one small file of every kind that the peer writes, for the tests; READ=report.json lets it read one of ours instead
peer-files: $(STAMP)
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --upgrade --target $(VENV)/peer interp-lab==3.1.0
	$(BIN)/python benchmarks/peer_files/make.py --peer $(VENV)/peer $(if $(READ),--read $(READ))

bench-interventions: $(STAMP)
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --upgrade --target $(VENV)/peer interp-lab==3.1.0
	$(BIN)/python benchmarks/interventions/bench.py --peer $(VENV)/peer

bench-intervention-plans: $(STAMP)
	$(BIN)/python benchmarks/interventions/plans.py

calibrate: $(STAMP)
	$(BIN)/interp-lab calibrate --size small --wait-s 45

bench-harvest: $(STAMP)
	$(BIN)/python benchmarks/harvest/bench.py

bench-paths: $(STAMP)
	$(BIN)/python benchmarks/paths/bench.py $(if $(PEER),--peer $(PEER))

.PHONY: dictionary-formats
dictionary-formats: $(STAMP)
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --upgrade --target $(VENV)/sae-peers $(SAE_PEERS)
	PYTHONPATH=$(VENV)/sae-peers $(BIN)/python benchmarks/dictionary_formats/check.py --write benchmarks/results/dictionary_formats.json

planted-directions: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/planted_directions/bench.py --write benchmarks/results/planted_directions.json

pocket-dictionaries: $(STAMP)
	$(BIN)/python benchmarks/pocket_dictionaries/bench.py --write benchmarks/results/pocket_dictionaries.json

# dictionaries are trained on the first run and kept in .criteria
criteria-table: $(STAMP)
	$(BIN)/python benchmarks/criteria/bench.py

# how often what is called is nothing and how often intervals hold the truth, beside what is stated
bench-rates: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/rates/bench.py

# known circuits found again, and the pocket models matched on every criterion
bench-circuits: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/circuits/worlds.py
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/circuits/bench.py

# attribution graphs through transcoders trained for a model in the box, beside twins that do not fit
bench-graphs: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/graphs/bench.py --write benchmarks/results/graphs.json

bench-comparing: $(STAMP)
	$(BIN)/python benchmarks/comparing/bench.py

bench-world-pairs: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/comparing/worlds.py

bench-planted: $(STAMP)
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --upgrade --target $(VENV)/peer interp-lab==3.1.0
	$(BIN)/python benchmarks/calibration/ranking.py --out .planted --peer $(VENV)/peer

pocket-models: $(STAMP)
	$(BIN)/python -m interp_lab.pocket

# harvest, train and inspect through a Ray cluster that loses a node, beside this machine
scale-e2e: $(STAMP)
	PYTHONPATH=. $(BIN)/python benchmarks/scale/e2e.py

# docs/paper_plan.md from plan_scale
paper-plan: $(STAMP)
	$(BIN)/python benchmarks/plans/paper.py

# what plan_scale says beside what runs take
bench-plans: $(STAMP)
	$(BIN)/python benchmarks/plans/bench.py

clean:
	rm -rf $(VENV) demo-workspace .pytest_cache .ruff_cache .conformance
