# Two commands: `make up` runs the whole system on this machine, `make test` proves it.
#   PORT=8765 make up      another port
#   PYTHON=python3.12 make install

PYTHON ?= python3
BIN := .venv/bin
UV := $(shell command -v uv 2>/dev/null)

.PHONY: up install test test-long lint lock clean assets translations screens

up: .venv/run.stamp
	@exec $(BIN)/affiliate up $(if $(PORT),--port $(PORT))

install: .venv/run.stamp

test: lint
	$(BIN)/pytest -n 2 --dist loadfile -m "not long"

# The full counts of kills, generated steps and outages. Takes a while.
test-long: lint
	$(BIN)/pytest -n 2 --dist loadfile

lint: .venv/test.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

# A new version of a dependency comes in here and nowhere else.
COMPILE = $(or $(UV),$(BIN)/uv) pip compile pyproject.toml --quiet --universal \
	--python-version 3.11 --generate-hashes --no-emit-index-url --no-header
lock:
	$(COMPILE) --output-file requirements.lock
	$(COMPILE) --extra test --constraint requirements.lock --output-file requirements-test.lock

# static/dist and the icons, from frontend/. The only target that needs Node (20 or later).
assets:
	npm install --no-save --prefix frontend
	node frontend/build.mjs

# New strings into the catalogues, old ones out; then translate what is empty in the .po files.
BABEL = $(BIN)/pybabel --quiet
translations: .venv/run.stamp
	@mkdir -p var
	$(BABEL) extract --mapping babel.cfg --keywords "_n:1,2" --keywords "_p:1c,2" \
	  --ignore-dirs ".* node_modules var" --no-location --sort-output --add-comments NOTE \
	  --output-file var/messages.pot .
	$(BABEL) update --input-file var/messages.pot --output-dir affiliate/translations \
	  --no-fuzzy-matching --ignore-obsolete --ignore-pot-creation-date

# Pictures of the main pages in var/screens, to be looked at.
screens: .venv/test.stamp
	$(BIN)/pytest --quiet tests/browser/screens.py

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache

# Every wheel is checked against the lock. The build backend is locked too, so nothing else is
# fetched. PIP_* and UV_* settings of the person (mirror, proxy, certificates) hold as always.
ifneq ($(UV),)
MAKE_VENV = $(UV) venv --quiet --clear --python "$(PYTHON)" .venv
ADD = $(UV) pip install --quiet --python $(BIN)/python
else
MAKE_VENV = $(PYTHON) -m venv --clear .venv
ADD = $(BIN)/python -m pip install --quiet --disable-pip-version-check
endif

.venv/python.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Tuike needs Python 3.11 or later; choose one: PYTHON=python3.12 make $(MAKECMDGOALS)" >&2; \
	  exit 1; }
	@$(if $(UV),true,$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null) || { \
	  echo "$(PYTHON) cannot make virtual environments; install its package, for example:" \
	    "apt-get install $$($(PYTHON) -c 'import sys; print("python3.%d-venv" % sys.version_info[1])')" >&2; \
	  exit 1; }
	@$(MAKE_VENV)
	@touch $@

.venv/run.stamp: requirements.lock pyproject.toml .venv/python.stamp
	@echo "Installing what Tuike needs into .venv …"
	@$(ADD) --require-hashes -r requirements.lock
	@$(ADD) --no-build-isolation --no-deps --editable .
	@touch $@

.venv/test.stamp: requirements-test.lock .venv/run.stamp
	@echo "Installing what the tests need into .venv …"
	@$(ADD) --require-hashes -r requirements-test.lock
	@touch $@
