# `make demo` shows a trace; `make test` checks everything. Both need nothing but Python.

PYTHON ?= python3
VENV ?= .venv
PYTHONS := 3.10 3.11 3.12 3.13
LANGCHAINS := oldest last-0.3 first-1.0 newest
langchain-oldest := langchain==0.3.26 langchain-core==0.3.67 langgraph==0.6.0 langgraph-prebuilt==0.6.0
langchain-last-0.3 := 'langchain<1' 'langchain-core<1' 'langgraph<1'
langchain-first-1.0 := langchain==1.0.0 langchain-core==1.0.0 langgraph==1.0.0 langgraph-prebuilt==1.0.0
langchain-newest := langchain langchain-core langgraph
RUN := $(VENV)/bin/python -m

export PIP_DISABLE_PIP_VERSION_CHECK := 1

# $(call step,NAME,COMMAND): one line when it succeeds, the command's whole output when it fails.
define step
@if output=$$($(2) 2>&1); then echo "$(1): ok"; else echo "$$output"; echo "$(1): failed"; exit 1; fi
endef

.DEFAULT_GOAL := help
.PHONY: help demo test lint typecheck unit matrix matrix-langchain backends bench clean

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.demo ## Answer questions, and show the run tree (MODEL=local: a small model, built once)
	@$(RUN) callspan.demo

test: lint typecheck ## Everything that CI checks on one Python; backends are built if they can be
	@$(RUN) tests.backends.build || true
	@$(RUN) pytest -q --cov

lint: $(VENV)/.dev ## Formatting, lint rules, the layers of the imports
	$(call step,ruff format,$(RUN) ruff format --check .)
	$(call step,ruff check,$(RUN) ruff check .)
	$(call step,lint-imports,$(VENV)/bin/lint-imports --no-logo)

typecheck: $(VENV)/.dev ## mypy --strict
	$(call step,mypy,$(RUN) mypy)
	$(call step,mypy of users' programs,$(RUN) mypy tests/typing examples)

unit: $(VENV)/.dev ## The tests that need no backend, without coverage
	@$(RUN) pytest -q -m 'not backend' -n auto

matrix: $(PYTHONS:%=matrix-%) ## The same on every supported Python that is installed

# An installed pyenv version need not be on PATH, and its shim there need not work.
matrix-%:
	@for python in python$* $$(ls -d "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/$*.*/bin/python 2>/dev/null); do \
	    if "$$python" -c 'import ensurepip' 2>/dev/null; then \
	        echo "python$*: $$python"; \
	        exec $(MAKE) --no-print-directory unit PYTHON="$$python" VENV=.venv-$*; \
	    fi; \
	done; \
	if [ -n "$$CI" ]; then echo "python$*: not found"; exit 1; fi; \
	echo "python$*: not found, skipped"

# Not on Python 3.10, where LangChain before 1.4.8 loses its config in async bodies.
matrix-langchain: $(LANGCHAINS:%=langchain-%) ## The tests of LangChain on the first and last versions of it

langchain-%: .venv-lc-%/.ready
	@.venv-lc-$*/bin/python -m pip list --format freeze | grep -E '^lang(chain|chain-core|graph)=' | xargs
	@.venv-lc-$*/bin/python -m pytest -q tests/langchain

backends: $(VENV)/.dev ## Build Jaeger, the Collector and a model for the tests (minutes, once)
	@$(RUN) tests.backends.build

bench: .venv-bench/.peers ## Measure the cost of a run, as ratios; in LangChain beside other tracers
	@.venv-bench/bin/python -m benchmarks.core
	@.venv-bench/bin/python -m benchmarks.langchain

clean: ## Remove the virtual environments and caches
	rm -rf .venv .venv-3.* .venv-bench .venv-lc-* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache \
	    .coverage* htmlcov dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.demo: pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 10) or sys.exit("callspan needs Python 3.10 or newer, this is %d.%d: name another with make PYTHON=..." % v[:2])'
	@echo "$(VENV): installing callspan"
	@$(PYTHON) -m venv $(VENV)
	@$(RUN) pip install -q --upgrade pip
	@$(RUN) pip install -q -e '.[anthropic,openai]'
	@touch $@

$(VENV)/.dev: $(VENV)/.demo
	@echo "$(VENV): installing what the tests need"
	@$(RUN) pip install -q --group dev
	@touch $@

.PRECIOUS: .venv-lc-%/.ready
.venv-lc-%/.ready: pyproject.toml
	@$(MAKE) --no-print-directory VENV=.venv-lc-$* .venv-lc-$*/.demo
	@.venv-lc-$*/bin/python -m pip install -q --upgrade --group test langchain-openai $(langchain-$*)
	@touch $@

# Other tracers may want other versions of OpenTelemetry than the tests.
.venv-bench/.peers: pyproject.toml
	@$(MAKE) --no-print-directory VENV=.venv-bench .venv-bench/.demo
	@echo ".venv-bench: installing other tracers"
	@.venv-bench/bin/python -m pip install -q --group bench
	@.venv-bench/bin/python -m pip install -q --group peers || echo "without them, then"
	@touch $@
