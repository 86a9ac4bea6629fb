# The words of this project. `make` alone lists them; CI calls the same ones.
#
# One environment, `.venv`, with two sizes: what a user needs (`make demo`), and what the tests need as well.
# A stamp remembers each; pip runs again only after pyproject.toml or constraints.txt changed.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# The runtime that is installed: cpu or gpu. The two wheels overwrite each other's files, so .venv holds one of them.
RUNTIME ?= cpu
# How many processes run the tests: those that start a service run in one of them, the others beside it.
WORKERS ?= 2
# More words for the command behind a word: make test ARGS="tests/unit/wire -x"
ARGS ?=

BIN := .venv/bin
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore $(BIN)/python -m pip -qq
SOURCES := service models hardware_sim tests docs
REQUIREMENTS := pyproject.toml constraints.txt
# Programs that read exported files, each in an environment of its own, with the versions of tests/peers/NAME.txt.
PEERS := bluesky hyperspy libertem omezarr tickit direct_electron nion rosettasciio pvapy libertem_live

.PHONY: help demo test lint bench docs peers clean

help: ## list these words
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-6s  %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo '  RUNTIME=gpu installs the runtime for NVIDIA cards in place of the one for the processor (docs/install.md).'
	@echo '  ARGS="..." hands more words on, e.g. make demo ARGS="--scenario adaptive".'

demo: .venv/stamp-user-$(RUNTIME) ## start the service and a simulated microscope, and show the page
	@exec $(BIN)/scanmend demo $(ARGS)

# One OpenMP thread a process: two processes whose threads wait for each other by spinning are ten times slower.
test: .venv/stamp-dev-$(RUNTIME) ## run every test, in a real browser too
	@CHROMIUM="$$(tests/browser/find_chromium.sh)"; export CHROMIUM; \
	export OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE; \
	exec $(BIN)/python -m pytest -n $(WORKERS) --dist loadscope $(ARGS)

lint: .venv/stamp-dev-$(RUNTIME) ## check style, types and who imports whom
	@$(BIN)/ruff check --quiet $(SOURCES)
	@$(BIN)/ruff format --check --quiet $(SOURCES)
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-logo >.venv/lint-imports.log || { cat .venv/lint-imports.log; exit 1; }
	@echo 'lint: style, types and imports are in order'

bench: .venv/stamp-user-$(RUNTIME) ## compare the streaming path with the bare floor
	@exec $(BIN)/scanmend bench stream $(ARGS)

docs: .venv/stamp-dev-$(RUNTIME) ## check the documents: links, index, commands
	@exec $(BIN)/python -m pytest tests/unit/repo/test_repo_documents.py $(ARGS)

peers: .venv/stamp-dev-$(RUNTIME) $(PEERS:%=.venv/peers/%/stamp) ## try the programs of others: readers of exported files, simulated detectors
	@SCANMEND_PEERS=.venv/peers exec $(BIN)/python -m pytest tests/peers $(ARGS)

clean: ## remove the environment, caches and built files; recordings stay
	@rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +

# Every recipe that needs Python comes through here. Debian's python3 lacks ensurepip until python3-venv is installed.
$(BIN)/pip:
	@for python in $(PYTHON) python3.11 python3 python3.14 python3.13 python3.12; do \
	  if "$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    "$$python" -m venv .venv && exit; rm -rf .venv; exit 1; \
	  fi; \
	done; \
	echo 'Scanmend needs Python 3.11 or newer with its venv module, and found none.' >&2; \
	echo 'Install it (Debian: apt-get install python3 python3-venv), or name one: make PYTHON=/path/to/python3.11 ...' >&2; \
	exit 1

.venv/stamp-user-$(RUNTIME): $(REQUIREMENTS) | $(BIN)/pip
	@$(call one_runtime)
	@echo 'Installing Scanmend into .venv (about half a minute, 165 MB to fetch) ...'
	@$(PIP) install -c constraints.txt -e '.[$(RUNTIME),openvino]'
	@touch $@

.venv/stamp-dev-$(RUNTIME): $(REQUIREMENTS) | $(BIN)/pip
	@$(call one_runtime)
	@echo 'Installing Scanmend with its tests into .venv (one to three minutes) ...'
	@$(PIP) install -c constraints.txt -e '.[$(RUNTIME),openvino,train,dev]'
	@touch .venv/stamp-user-$(RUNTIME) $@

.venv/peers/%/stamp: tests/peers/%.txt | $(BIN)/pip
	@echo 'Installing $* into $(@D) (up to a minute, 0.5 to 1 GB) ...'
	@rm -rf $(@D) && $(BIN)/python -m venv $(@D)
	@PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore $(@D)/bin/python -m pip -qq install -r $<
	@touch $@

define one_runtime
case '$(RUNTIME)' in cpu|gpu) ;; *) echo 'RUNTIME is cpu or gpu.' >&2; exit 1;; esac; \
if ls .venv/stamp-user-* 2>/dev/null | grep -qv 'stamp-user-$(RUNTIME)$$'; then \
  echo 'The .venv holds the other runtime, and the two exclude each other. First: make clean' >&2; exit 1; \
fi
endef
