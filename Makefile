# `make demo` runs the whole story, `make test` passes the tests; both set everything up by themselves.
PYTHON ?= python3.11
VENV = .venv
BIN = $(VENV)/bin

.PHONY: demo test lint bench lock clean

demo: $(VENV)/demo.installed
	$(BIN)/mlops demo

test: $(VENV)/dev.installed
	$(BIN)/pytest -n auto

lint: $(VENV)/dev.installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/dev.installed
	$(BIN)/python benchmarks/run.py

$(VENV)/demo.installed: requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/dev.installed: requirements-dev.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --require-hashes -r requirements-dev.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@ $(VENV)/demo.installed

LOCK = uv pip compile pyproject.toml --universal --python-version 3.11 --group build --generate-hashes \
	--no-emit-index-url --no-annotate --no-header --quiet
lock:
	$(LOCK) --extra postgres --extra demo --extra dev -o requirements-dev.lock
	$(LOCK) --extra demo -c requirements-dev.lock -o requirements.lock

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache
