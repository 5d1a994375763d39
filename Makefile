# Two commands do everything on a fresh machine: `make run` and `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOCK := requirements/ci.txt
SECONDS ?= 60

.PHONY: install install-dev run test test-slow coverage lint audit check format bench chaos examples picture client lock clean

install: $(VENV)/.installed
install-dev: $(VENV)/.installed-dev

$(VENV)/.installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[mcp]'
	touch $@

$(VENV)/.installed-dev: pyproject.toml $(LOCK)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]' --constraint $(LOCK)
	touch $@ $(VENV)/.installed

# Serves on 127.0.0.1:8080; with no ANTHROPIC_API_KEY an offline stand-in plays the model, and says so.
run: install
	$(BIN)/gunicorn

PYTEST := $(BIN)/pytest -n 4 --dist loadfile --no-loadscope-reorder

# In less than six minutes, without the tests of tests/slow_tests.py.
test: install-dev
	$(PYTEST)

test-slow: install-dev
	$(PYTEST) --slow

# The packages whose tests run in their own process, what agent files limit, and what sessions of the Managed Agents API
# bring into these packages, one worker: lines that only a server of a test's reaches don't count.
# pyproject.toml says how much has to be covered. Whether the tests pass, `make test` says: measured, a server is too slow
# for some of the processes that they let loose on it.
COVERED := agent conversation team telemetry
MANAGED := outcomes mcp_servers child_threads custom_tools repositories resources
coverage: install-dev
	-$(BIN)/coverage run -m pytest --quiet -m 'not postgres' $(COVERED:%=tests/%) tests/test_agent_limits.py \
		$(MANAGED:%=tests/managed/test_%.py) tests/managed/memory/test_mounted_memory.py
	$(BIN)/coverage report

lint: install-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@$(BIN)/python -m tests.plain_english
	$(MAKE) --no-print-directory audit

# Known vulnerabilities of the installed packages. Skipped, with the reason, in CI and where the index can't be reached.
audit: install-dev
	@$(BIN)/python -m tests.dependency_audit

# Has to pass before every commit.
check: lint test

format: install-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: install-dev
	$(BIN)/python -m bench

# Kills a server around each of its writes and at 200 moments; walks through every touch of the outside world, which takes
# most of an hour; then breaks everything at random for SECONDS=600. SEED=7 repeats such a run, DATABASE=postgres picks
# the database, RESUME=1 goes on with a walk that was cut.
chaos: install-dev
	$(BIN)/pytest tests/kill_points tests/failure_modes tests/openapi tests/fuzz tests/managed/test_custom_kill_points.py --thorough
	$(BIN)/python -m tests.walk $(if $(SEED),--seed $(SEED)) $(if $(DATABASE),--database $(DATABASE)) $(if $(RESUME),--resume)
	$(BIN)/python -m tests.chaos --seconds $(SECONDS) $(if $(SEED),--seed $(SEED)) $(if $(DATABASE),--database $(DATABASE))

# Compares what loads of a checkout of docker-agent's examples (DIR=…) with docs/compatibility-examples.md.
examples: install-dev
	$(BIN)/python -m tests.team.public_examples $(DIR)

# Draws the picture of the packages in docs/design.md anew, and names the longest chain of imports.
picture: install-dev
	$(BIN)/python -m tests.architecture

# Makes the client for scripts of the one for asyncio.
client: install-dev
	$(BIN)/python -m tests.client.sync_twin

# Writes the newest versions that pyproject.toml allows into the file that install-dev, and so CI, installs by.
lock:
	rm -rf .lock && $(PYTHON) -m venv .lock
	.lock/bin/python -m pip install --quiet --editable '.[dev]'
	echo "# What CI installs. Made by \`make lock\`: don't edit." > $(LOCK)
	.lock/bin/python -m pip freeze --all --exclude pip --exclude-editable >> $(LOCK)
	rm -rf .lock

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .typescript .walk .lock .coverage
