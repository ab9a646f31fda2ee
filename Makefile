# Everything a newcomer needs: `make demo`, `make test`. Set-up is done once, in .venv, and again when its inputs change.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# -qq: errors only.
INSTALL := -m pip install -qq --disable-pip-version-check

# The newest minor version of Prefect that is supported, in an environment of its own.
NEWEST := .venv-newest

# Test files that run at the same time.
JOBS ?= 2

# For how long `make attack` goes on.
export HELIX_ATTACK_MINUTES ?= 30

# Not with the others: under load Prefect's server with SQLite may not answer for a minute, and schedules run late.
WORKER := tests/deployments/test_worker.py

# The temporary server that Prefect starts for a local run: time to start on a busy machine, and nothing sent anywhere.
export PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS ?= 120
export PREFECT_SERVER_ANALYTICS_ENABLED ?= false

.DEFAULT_GOAL := help
.PHONY: help demo test attack lint browser worker newest clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.stamp ## Run the demonstration
	@$(BIN)/python flows/demo.py

test: lint browser ## Check style and types, then run the tests
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --ignore $(WORKER)
	@$(MAKE) --no-print-directory newest

attack: $(VENV)/.stamp-dev ## Run random flows through random edits and faults, for half an hour; then all readers of stored bytes
	@$(BIN)/python -m tests.attack
	@HELIX_ATTACK=1 $(BIN)/python -m pytest tests/fuzz

worker: $(VENV)/.stamp-dev browser ## Run scheduled deployments on a real worker
	@$(BIN)/python -m pytest $(WORKER)

newest: $(NEWEST)/.stamp ## Play every way to use Prefect on its newest version too
	@$(NEWEST)/bin/python -m pytest tests/compatibility

lint: $(VENV)/.stamp-dev ## Check style and types
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

browser: ## Install Chromium for the browser tests, where apt-get can
	@if command -v chromium >/dev/null && command -v chromedriver >/dev/null; then :; \
	elif command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
		echo "Installing Chromium for the browser tests"; \
		log=$$(mktemp); \
		{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
			apt-get install -y -qq --no-install-recommends chromium chromium-driver; } >"$$log" 2>&1 \
		|| { tail -n 5 "$$log"; echo "Chromium could not be installed: the browser tests will be skipped."; }; \
		rm -f "$$log"; \
	else echo "Chromium is missing: the browser tests will be skipped."; fi

clean: ## Remove the virtual environment and all that was built
	@rm -rf $(VENV) $(NEWEST) build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.stamp: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "constraints.txt needs Python 3.11 or later. Name one: make PYTHON=python3.11")'
	@echo "Setting up $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python $(INSTALL) -c constraints.txt -e '.[demo]'
	@touch $@

$(VENV)/.stamp-dev: $(VENV)/.stamp
	@echo "Adding the development tools to $(VENV)"
	@$(BIN)/python $(INSTALL) -c constraints.txt -e '.[demo,flows,dev]'
	@touch $@

$(NEWEST)/.stamp: pyproject.toml constraints-newest.txt
	@echo "Setting up $(NEWEST)"
	@$(PYTHON) -m venv $(NEWEST)
	@$(NEWEST)/bin/python $(INSTALL) -c constraints-newest.txt -e '.[demo]' prefect pytest pytest-timeout
	@touch $@
