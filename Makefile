# A bare `make` lists the targets. FAST=1 makes every run short: little data, few epochs. REPLAY=1 shows recorded
# trainings and experiments in place of long ones.

PYTHON ?= python3
# Which builds of PyTorch: cpu, cuda, or auto, which takes cpu on Linux on x86-64 without an NVIDIA driver.
TORCH ?= auto
TORCH_CPU_INDEX ?= https://download.pytorch.org/whl/cpu
BIN := .venv/bin
OLDEST := runs/oldest
# The tests of what a class needs beside the lessons. Those of the JupyterHub skip themselves under FAST=1.
CLASS := tests/test_site.py tests/test_demo.py tests/test_voila.py tests/test_marking.py tests/test_grading.py \
	tests/test_tuning_postgres.py tests/test_blank_exercises.py notebooks/solutions notebooks/impossible/solutions
# And of what measures the series: benchmarks, audit and mutants.
MEASURING := tests/test_audit.py tests/test_benchmarks.py tests/test_mutants.py tests/test_peers.py tests/test_search.py
IN_A_BROWSER := tests/test_browser.py tests/test_site.py tests/test_demo.py tests/test_voila.py
DATA := data/FashionMNIST/raw/t10k-labels-idx1-ubyte

.PHONY: help setup moved force run lab lint test test-class test-full test-oldest notebooks exercises slides demo site hub \
	bench-sources bench-steps bench-speed bench-search bench-peers bench-demo bench-marking bench-hub mutants audit

help:
	@echo "make run         set up, then execute all lessons with full training (FAST=1: on little data)"
	@echo "make test        set up, then run the tests, with every lesson executed under FAST=1"
	@echo "make lab         set up, then open JupyterLab on the start page"
	@echo "make test-class  the other tests, of what a class needs: exercises and solutions executed, marking, PostgreSQL,"
	@echo "                 Voila, the site, the demo, a class at a real JupyterHub (root on Linux; needs npm); and of what"
	@echo "                 measures the series"
	@echo "make lint        check the style of code and notebooks, as make test does of what is committed"
	@echo "make test-full   every test, with every notebook executed with full training"
	@echo "make test-oldest every test but those in a browser, with the oldest packages that requirements.txt allows"
	@echo "make slides      build slides of the lessons in runs/slides/"
	@echo "make demo        build the page that classifies garments in the browser, in runs/demo/ (needs npm)"
	@echo "make site        build the site in runs/site/, from what is committed"
	@echo "make hub         prepare this installation for the JupyterHub in deploy/jupyterhub/ (Linux; needs npm)"
	@echo "make exercises   execute the solutions and generate the students' exercises from them"
	@echo "make bench-speed, make bench-steps, make bench-sources, make bench-search, make bench-peers, make bench-demo,"
	@echo "make bench-marking, make bench-hub   measure; see benchmarks/README.md"
	@echo "make audit       try the lessons' claims under other seeds and number formats (some hours; it resumes)"
	@echo "make mutants     try whether the tests notice 200 changes of the helpers (an hour; it resumes)"
	@echo "make notebooks   full run that rewrites the committed outputs, the results and the tables in README and INSTRUCTORS"
	@echo "                 (LESSONS=\"02_mlp_baseline\" with notebooks or exercises: these alone, on the machine of the others)"

setup: moved $(DATA)

# An environment holds the full path of its folder, which .venv/.ready remembers.
moved: .venv/.ready
	@[ "$$(cat .venv/.ready)" = "$$(pwd -P)" ] || { \
		echo "The folder was renamed, moved or copied since .venv was set up: adapting .venv to it ..."; \
		$(BIN)/python -P build_tools/moved.py && pwd -P > .venv/.ready; } || \
		{ echo "If you see this again, delete the folder .venv: the next make sets it up anew."; exit 1; }

.venv/.ready: requirements.txt pyproject.toml $(wildcard startup/*.p* startup/*.json)
	@[ -w . ] || { echo "You have no right to write in this folder. Copy the whole project to a folder of your own."; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed, but $(PYTHON) is older or missing. Try: make PYTHON=python3.12 ..."; exit 1; }
	@echo "Setting up .venv ..."
	"$(PYTHON)" -m venv .venv
	@$(BIN)/python -P build_tools/install.py --torch "$(TORCH)" --cpu-index "$(TORCH_CPU_INDEX)"
	@pwd -P > .venv/.ready

# What was decided by hand is looked at each time: it may differ from what .venv has.
ifneq ($(TORCH),auto)
.venv/.ready: force
endif
force:

# What only some targets need: an extra of pyproject.toml.
.venv/.ready-%: pyproject.toml | moved
	@$(BIN)/python -P build_tools/install.py --extra $*
	@touch $@

$(DATA): | moved
	$(BIN)/python -m helpers.data

run: setup
	$(BIN)/python -m build_tools.series run

lab: setup
	@[ "$$(id -u)" != 0 ] || echo "You are root, so Jupyter gets --allow-root. A normal account is safer."
	$(BIN)/python -m jupyterlab --notebook-dir=. $$([ "$$(id -u)" != 0 ] || echo --allow-root) notebooks/00_start_here.ipynb

lint: setup .venv/.ready-test
	$(BIN)/python -m ruff check
	$(BIN)/python -m ruff format --check

# Where Python may not write its bytecode, each kernel of the tests would compile helpers and tests anew. Three processes
# keep two cores busy, also while one of them waits for a browser or for a kernel that starts.
test: setup .venv/.ready-test
	FAST=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder \
		$(CLASS:%=--ignore=%) $(MEASURING:%=--ignore=%)

test-class: setup .venv/.ready-test
	FAST=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder \
		$(CLASS) $(MEASURING)
	FAST=0 $(BIN)/python -m pytest tests/test_hub.py

test-full: setup .venv/.ready-test
	FAST=0 $(BIN)/python -m pytest

# An environment of its own. The oldest packages are published for the oldest Python only.
test-oldest:
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
		{ echo "The oldest packages need Python 3.11, which $(PYTHON) is not. Try: make test-oldest PYTHON=python3.11"; exit 1; }
	"$(PYTHON)" -m venv --clear $(OLDEST)
	$(OLDEST)/bin/python -m pip install --disable-pip-version-check uv
	$(OLDEST)/bin/uv pip install --python $(OLDEST)/bin/python --compile-bytecode --resolution lowest-direct \
		-r requirements.txt -e '.[test]'
	$(OLDEST)/bin/python -m helpers.data
	FAST=1 $(OLDEST)/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(IN_A_BROWSER:%=--ignore=%)

notebooks: setup
	$(BIN)/python -m build_tools.series publish $(LESSONS)
	$(BIN)/python -m benchmarks.readme

exercises: setup .venv/.ready-grading
	$(BIN)/python -m build_tools.exercises $(LESSONS)

slides: setup .venv/.ready-slides
	$(BIN)/python -m build_tools.slides

demo: setup
	$(BIN)/python -m build_tools.demo

site: .venv/.ready-site
	$(BIN)/python -m build_tools.site

hub: setup .venv/.ready-hub
	$(BIN)/python -m build_tools.hub

bench-sources: setup
	$(BIN)/python -m benchmarks.sources
	$(BIN)/python -m benchmarks.schedules
	$(BIN)/python -m benchmarks.readme

bench-steps: setup
	$(BIN)/python -m benchmarks.steps
	$(BIN)/python -m benchmarks.readme

bench-speed: setup
	$(BIN)/python -m benchmarks.speed
	$(BIN)/python -m benchmarks.readme

bench-search: setup
	$(BIN)/python -m benchmarks.search
	$(BIN)/python -m benchmarks.readme

bench-peers: setup
	$(BIN)/python -m benchmarks.peers
	$(BIN)/python -m benchmarks.readme

bench-demo: setup .venv/.ready-test
	$(BIN)/python -m benchmarks.demo
	$(BIN)/python -m benchmarks.readme

bench-marking: setup .venv/.ready-grading
	$(BIN)/python -m benchmarks.marking $(SUBMISSIONS)
	$(BIN)/python -m benchmarks.readme

bench-hub: setup .venv/.ready-hub
	$(BIN)/python -m benchmarks.hub
	$(BIN)/python -m benchmarks.readme

mutants: setup .venv/.ready-test .venv/.ready-mutants
	$(BIN)/python -m benchmarks.mutants
	$(BIN)/python -m benchmarks.readme

audit: setup
	$(BIN)/python -m benchmarks.audit
	$(BIN)/python -m benchmarks.readme
