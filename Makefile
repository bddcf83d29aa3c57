# Everything runs in .venv; `make setup` makes it. `make help` lists the targets.
.DEFAULT_GOAL := help
TABLES := $(addprefix table,1 2 3 4 5 6 7 8 9)
FIGURES := $(addprefix figure,1 2 3 4 5 6 7 8 9 10 11 _pareto _ladder _flips _forest)
.PHONY: $(TABLES) $(FIGURES) tables figures paper help setup gptq-env demo chain test test-slow lint format data dashboard bench report clean

PYTHON ?= python3
BIN := .venv/bin
# An index of torch builds for your machine (CPU only, or one CUDA version), if you want a certain one.
TORCH_INDEX ?=
ARGS ?=
SWEEP ?=
TEXT ?=
TRAINING ?=

help:  ## List the targets
	@grep -hE '^[a-z0-9_-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

# torch comes first and at its exact version, so that a CPU build is taken where pip is given one.
.venv/.installed: pyproject.toml requirements.lock
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; use make PYTHON=python3.11") if sys.version_info < (3, 11) else 0'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check -c requirements.lock torch $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX))
	$(BIN)/python -m pip install -q --disable-pip-version-check -c requirements.lock -e '.[dev]'
	@touch $@

setup: .venv/.installed  ## Make .venv and install the project in it (Python 3.11+ and pip are enough)

# Its versions of torch and others are not ours. It is pinned, as its numbers differ by version.
GPTQMODEL ?= gptqmodel==7.7.0
.venv-gptq/.installed:
	$(PYTHON) -m venv .venv-gptq
	.venv-gptq/bin/python -m pip install -q --disable-pip-version-check torch $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX))
	.venv-gptq/bin/python -m pip install -q --disable-pip-version-check '$(GPTQMODEL)'
	@touch $@

gptq-env: .venv-gptq/.installed  ## Make .venv-gptq with gptqmodel in it, for compression=gptq and awq

demo: setup  ## The study in small on the models that ship with the project, and its report
	$(BIN)/python -m src.main experiment=demo $(ARGS)
	$(BIN)/python -m src.main experiment=demo_distilled $(ARGS)
	$(BIN)/python -m src.report.html multirun/demo

chain: setup  ## Train on TEXT=FILE, measure the checkpoints dense and int8, and write the report
	@test -n "$(TEXT)" || { echo 'make chain TEXT=FILE: a text file (plain or .xz), documents separated by blank lines'; exit 1; }
	$(BIN)/python -m src.pretrain recipe=chain corpus.sources.text.path='$(TEXT)' $(TRAINING)
	$(BIN)/python -m src.main experiment=chain $(ARGS)
	$(BIN)/python -m src.report.html multirun/chain

# `make table1` runs what table 1 needs and writes it below multirun/; cells that are finished are not
# run again, and tables and figures share them. ARGS takes paper=tiny, hydra/launcher=submitit_slurm, …
$(TABLES) $(FIGURES): setup
	$(BIN)/python -m src.paper $@ $(ARGS)

table1:  ## One table of the paper (table1 to table9), or figure (figure1 to figure11)
tables: setup  ## Tables 1 to 9 of the paper, each cell run once
	$(BIN)/python -m src.paper tables $(ARGS)

figures: setup  ## Figures 1 to 11 of the paper, and four of its own
	$(BIN)/python -m src.paper figures $(ARGS)

paper: setup  ## All tables and figures
	$(BIN)/python -m src.paper all $(ARGS)

test: setup  ## The default tests
	$(BIN)/python -m pytest -n 2 $(ARGS)

test-slow: setup  ## All tests, the slow ones too
	$(BIN)/python -m pytest -n 2 -m 'slow or not slow' $(ARGS)

lint: setup  ## ruff and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup  ## Let ruff format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

report: setup  ## Write SWEEP=DIR as one HTML file, DIR/report.html
	@test -n '$(SWEEP)' || { echo 'error: say which sweep: make report SWEEP=multirun/<sweep>' >&2; exit 2; }
	$(BIN)/python -m src.report.html '$(SWEEP)' $(ARGS)

data: setup  ## Download and verify all benchmark files into the cache
	$(BIN)/python -m src.data.download $(ARGS)

dashboard: setup  ## A W&B workspace and report of SWEEP=DIR; without an account, DIR/report.html
	$(BIN)/python -m src.report.dashboard '$(SWEEP)' $(ARGS)

bench: setup  ## Speed against a one-item-at-a-time loop, as ratios
	$(BIN)/python -m src.bench $(ARGS)

clean:  ## Remove .venv and caches, not results
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache *.egg-info
