# A bare `make` lists the targets. FAST=1 makes every run short: little data, few epochs.

PYTHON ?= python3
BIN := .venv/bin
DATA := data/FashionMNIST/raw/t10k-labels-idx1-ubyte

.PHONY: help setup run lab test test-full notebooks exercises slides bench-sources bench-steps bench-speed audit

help:
	@echo "make run         set up, then execute all lessons with full training (FAST=1: in a few minutes)"
	@echo "make test        set up, then run every test, with every notebook executed under FAST=1"
	@echo "make lab         set up, then open JupyterLab on the start page"
	@echo "make test-full   every test, with every notebook executed with full training"
	@echo "make slides      build slides of the lessons in runs/slides/"
	@echo "make exercises   execute the solutions and generate the students' exercises from them"
	@echo "make bench-speed, make bench-steps, make bench-sources   measure; see benchmarks/README.md"
	@echo "make audit       try the lessons' claims under other seeds and number formats (some hours; it resumes)"
	@echo "make notebooks   full run that rewrites the committed outputs, the results and the tables in README and INSTRUCTORS"

setup: .venv/.ready $(DATA)

.venv/.ready: requirements.txt pyproject.toml $(wildcard startup/*.p*)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed, but $(PYTHON) is older or missing. Try: make PYTHON=python3.12 ..."; exit 1; }
	@echo "Setting up .venv (once; it downloads PyTorch and takes some minutes) ..."
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check -r requirements.txt
	@touch .venv/.ready

$(DATA): | .venv/.ready
	$(BIN)/python -m helpers.data

run: setup
	$(BIN)/python -m helpers.series run

lab: setup
	$(BIN)/python -m jupyter lab --notebook-dir=. notebooks/00_start_here.ipynb

test: setup
	FAST=1 $(BIN)/python -m pytest

test-full: setup
	FAST=0 $(BIN)/python -m pytest

notebooks: setup
	$(BIN)/python -m helpers.series publish

exercises: setup
	$(BIN)/python -m helpers.exercises

slides: setup
	$(BIN)/python -m helpers.slides

bench-sources: setup
	$(BIN)/python -m benchmarks.sources
	$(BIN)/python -m benchmarks.readme

bench-steps: setup
	$(BIN)/python -m benchmarks.steps
	$(BIN)/python -m benchmarks.readme

bench-speed: setup
	$(BIN)/python -m benchmarks.speed
	$(BIN)/python -m benchmarks.readme

audit: setup
	$(BIN)/python -m benchmarks.audit
	$(BIN)/python -m benchmarks.readme
