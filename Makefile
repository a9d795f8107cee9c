# Two commands: make book, make test.
PYTHON ?= python3
ATLAS ?= demo
PROFILE ?=
ARGS ?=

BIN := .venv/bin
STAMP := .venv/.installed
UV := $(shell command -v uv 2>/dev/null)

.DEFAULT_GOAL := book
.PHONY: book test nbmake env bench mutants notebooks lint lock clean

book: env  ## run the notebooks and build _build/html/index.html; ATLAS=FOLDER_OR_H5AD for other data
	@$(BIN)/musclebook build --atlas "$(ATLAS)" $(if $(PROFILE),--profile $(PROFILE)) $(ARGS)

test: env  ## unit and property tests, pairing, every chapter run on a tiny atlas, a book build, links
	$(BIN)/python -m pytest -n 2 --dist loadgroup $(ARGS)

nbmake: env  ## every notebook once more, as it stands, by nbmake alone
	$(BIN)/python -m pytest -o addopts=--import-mode=importlib -n 2 --nbmake --nbmake-timeout 600 notebooks/*.ipynb

env: $(STAMP)  ## make .venv from the hashed lock

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] < (3, 14) else f"Python 3.11 to 3.13 is needed, {sys.executable} is {sys.version.split()[0]}. Name another one: make PYTHON=python3.12")'
ifdef UV
	@uv venv --quiet --allow-existing --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" .venv
	@uv pip install --quiet --python $(BIN)/python --no-deps --require-hashes -r requirements.lock
	@uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
else
	@$(PYTHON) -m venv .venv
	@# the lock is whole: nothing is left to resolve
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
endif
	@touch $(STAMP)

notebooks: env  ## write notebooks/*.ipynb from notebooks/*.py, by content
	@$(BIN)/musclebook pair

lint: env
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/codespell

bench: env  ## measure the budgets at full size; hours of disk and minutes of CPU
	@$(BIN)/python -m bench $(ARGS)

mutants: env  ## break the code in one place after the other, and say which tests see it
	@$(BIN)/python tests/mutants.py $(ARGS)

lock:  ## resolve again; needs uv. ARGS=--upgrade raises everything, ARGS="--upgrade-package scanpy" one package
	uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes --no-annotate --no-header -q -o requirements.lock $(ARGS)

clean:
	rm -rf _build
