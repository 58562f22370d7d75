# make reproduce   figures and numbers from the public micrographs, into build/figures/, beside the committed ones
# make accept      of these, those that are new or lie outside their tolerance into figures/; README and docs follow
# make test        the tests, every notebook among them
# make lint        style, and the rules of the house: who may import whom
# make lab         JupyterLab, opened at copies, in mine/, of the notebooks for images of one's own
# make paper       the manuscript from figures/, into build/paper.pdf
# make docs        the pages of docs/, their notebooks run, into build/docs/
# make promote     newly trained weights replace the shipped ones where they score no worse
#
# OFFLINE=1            do not try to download the public data
# TRAIN=1              reproduce: train anew first, into build/weights/
# NOTEBOOKS="NAME ..." reproduce: only these notebooks
# ACCEPT=1             reproduce: then accept
# FIGURES="NAME ..."   accept: these too, whatever their numbers
# LAB_ROOT=FOLDER      lab: the topmost folder that JupyterLab shows; by default that of the file system, so that images
#                      in any folder can be reached; the notebooks must lie below it
# PYTHON=python3.12    the interpreter to make .venv with
# TORCH_INDEX=ADDRESS  the package index to take torch from, such as PyTorch's for CPU
# PIP_EXTRA="..."      further options for pip

PYTHON ?= python3
TORCH_INDEX ?=
PIP_EXTRA ?=
OFFLINE ?=
TRAIN ?=
NOTEBOOKS ?=
ACCEPT ?=
FIGURES ?=
LAB_ROOT ?= /

VENV := .venv
RUN := $(VENV)/bin/python
INSTALLED := $(VENV)/installed.stamp
PIP := $(RUN) -m pip install --disable-pip-version-check $(PIP_EXTRA)
# --offline where OFFLINE is neither empty nor 0, and so on.
given = $(if $(filter-out 0,$($1)),--$(shell echo $1 | tr A-Z a-z))
TORCH := $(shell grep '^torch==' requirements.lock)

.PHONY: reproduce accept test lint lab paper docs promote
.DELETE_ON_ERROR:

reproduce: $(INSTALLED)
	@$(RUN) -m notebooks.reproduction $(foreach switch,OFFLINE TRAIN ACCEPT,$(call given,$(switch))) $(NOTEBOOKS)

accept: $(INSTALLED)
	@$(RUN) -m notebooks.reproduction.accept $(FIGURES)

test: $(INSTALLED)
	$(RUN) -m pytest -n 2

lint: $(INSTALLED)
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(VENV)/bin/lint-imports

# What a person changes in them stays theirs: a copy that is there is left as it is.
lab: $(INSTALLED)
	@mkdir -p mine
	@for name in explore your-image teach; do [ -e mine/$$name.ipynb ] || cp notebooks/$$name.ipynb mine/; done
	$(RUN) -m jupyterlab --ServerApp.root_dir="$(LAB_ROOT)" --ServerApp.preferred_dir="$(CURDIR)/mine"

paper: $(INSTALLED)
	@$(RUN) paper/build.py

docs: $(INSTALLED)
	$(RUN) -m sphinx -q -W --keep-going docs build/docs

promote: $(INSTALLED)
	@$(RUN) -m notebooks.reproduction.promote

$(RUN):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "stemlib needs Python 3.11 or newer as $(PYTHON); name another with: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make environments; on Debian and Ubuntu: sudo apt install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# pip leaves a torch that is there already, be it built for CUDA or for CPU.
$(INSTALLED): requirements.lock pyproject.toml | $(RUN)
	@$(RUN) -c 'import importlib.util, sys; sys.exit(importlib.util.find_spec("torch") is None)' || { \
	  echo "Installing into $(VENV)/: about 2 GB with a torch for CPU. On Linux, torch from the default package"; \
	  echo "index brings the CUDA libraries along: several GB to download and to store. Without an NVIDIA card,"; \
	  echo "stop here (Ctrl-C) and add TORCH_INDEX=ADDRESS, the CPU index that PyTorch's install page names."; }
	$(if $(TORCH_INDEX),$(PIP) --no-deps --index-url $(TORCH_INDEX) $(TORCH))
	$(PIP) -r requirements.lock
	$(PIP) --quiet --no-deps --no-build-isolation -e .
	@touch $@
