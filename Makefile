# `make demo` runs the whole story, `make test` passes the tests; both set everything up by themselves.
PYTHON ?= python3.11
VENV = .venv
BIN = $(VENV)/bin

.PHONY: demo test lint bench lock clean

demo: $(VENV)/demo.installed
	$(BIN)/mlops demo

test: $(VENV)/dev.installed
	$(BIN)/pytest -n auto --dist loadgroup

lint: $(VENV)/dev.installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/dev.installed $(VENV)-bench/installed
	$(BIN)/python -m compileall -q jupyter_mlops slackbot # as pip did with the others
	$(BIN)/python benchmarks/startup.py $(VENV)-bench/bin/python
	$(BIN)/python benchmarks/drift.py 3
	$(BIN)/python benchmarks/datasets.py $(VENV)-bench/bin/dvc
	$(BIN)/python benchmarks/runs.py $(VENV)-bench/bin/python

$(VENV)-bench/installed: requirements-bench.lock
	test -x $(VENV)-bench/bin/python || $(PYTHON) -m venv $(VENV)-bench
	$(VENV)-bench/bin/pip install --quiet --require-hashes -r requirements-bench.lock
	touch $@

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

LOCK = uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	--no-header --quiet
lock:
	$(LOCK) pyproject.toml --group build --extra postgres --extra s3 --extra optuna --extra dask --extra demo --extra dev -o requirements-dev.lock
	$(LOCK) pyproject.toml --group build --extra demo -c requirements-dev.lock -o requirements.lock
	$(LOCK) --group bench -o requirements-bench.lock

clean:
	rm -rf $(VENV) $(VENV)-bench build dist .mypy_cache .ruff_cache .pytest_cache
