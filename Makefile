# Every command sets up what it needs first; see `make help`.
.DEFAULT_GOAL := help
SHELL := /bin/sh
MAKEFLAGS += --no-print-directory

RESPAN_HOME ?= $(CURDIR)/var
override RESPAN_HOME := $(abspath $(RESPAN_HOME))
export RESPAN_HOME
# These are for other projects; the first would compile TensorFlow anew at each start.
unexport PYTHONDONTWRITEBYTECODE PYTHONPATH PYTHONHOME VIRTUAL_ENV

ARGS ?=
AIRFLOW := "$$RESPAN_HOME/envs/airflow/bin/python"
TFX := "$$RESPAN_HOME/envs/tfx/bin/python"

# With the first Python that runs: any of them can do the set-up, which looks for the right ones itself.
define RUN
for python in "$$RESPAN_HOME/envs/bootstrap/bin/python" python3 python3.13 python3.12 python3.11 \
    /usr/bin/python3 "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/3.1[1-3].*/bin/python3; do \
  "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && exec "$$python" -m $(1); \
done; echo "make: no Python found: install Python 3.11 or newer" >&2; exit 1
endef

.PHONY: help
help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

.PHONY: setup
setup:  ## make both environments ready, and no more
	@$(call RUN,scripts.setup)

.PHONY: demo
demo: setup  ## watch a deployed model fail on new data and mend itself, in a real Airflow
	@$(AIRFLOW) -m scripts.demo $(ARGS)

.PHONY: demo-cicd
demo-cicd: setup  ## watch pushes to a git repository being tested, trained and released
	@$(AIRFLOW) -m scripts.demo_cicd $(ARGS)

.PHONY: airflow
airflow: setup  ## open Airflow's UI on the state in RESPAN_HOME
	@$(AIRFLOW) -m scripts.airflow_ui $(ARGS)

.PHONY: test
test: setup  ## run all tests, in both environments (ARGS="-k name" for some)
	@$(AIRFLOW) -m scripts.test $(ARGS)

.PHONY: test-fast
test-fast: setup  ## run the tests that take a moment each
	@$(AIRFLOW) -m scripts.test -m "not slow" $(ARGS)

.PHONY: lint
lint: setup  ## check style, formatting and types
	@failed=0; $(AIRFLOW) -m ruff check . || failed=1; $(AIRFLOW) -m ruff format --check . || failed=1; \
	  $(AIRFLOW) -m mypy || failed=1; exit $$failed

.PHONY: bench
bench: setup  ## measure the ratios that Respan promises, in one table
	@$(AIRFLOW) -m benchmarks $(ARGS)

.PHONY: compile
compile: setup  ## write every pipeline's graph.json, from which Airflow draws the tasks
	@$(TFX) -m ml pipelines | while read -r pipeline; do $(TFX) -m ml compile "$$pipeline" || exit; done

.PHONY: docs
docs: setup  ## write docs/settings.md from the settings' own descriptions, and the tables of docs/decisions-and-errors.md
	@$(AIRFLOW) -m scripts.settings_page
	@$(AIRFLOW) -m scripts.decisions_page

.PHONY: lock
lock:  ## compile the locks anew from the .in files
	@$(call RUN,scripts.setup lock)

.PHONY: stack-env
stack-env:  ## write .env, with new secrets, for docker-compose.yaml
	@$(call RUN,scripts.stack.env_file)

.PHONY: clean
clean:  ## remove caches and all state in RESPAN_HOME; the environments stay
	@$(call RUN,scripts.setup clean)

.PHONY: distclean
distclean:  ## remove caches, state and environments
	@$(call RUN,scripts.setup distclean)
