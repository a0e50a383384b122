# `make example` and `make test` need Python 3.11 or newer and the package index, and nothing else.
PYTHON ?= python3
bin = .venv/bin

.PHONY: example test test-databases bench lint format types wheel matrix check clean

example: .venv/example  ## start the emulator and the example site; Ctrl-C stops both
	@$(bin)/python example/run.py

test: .venv/test  ## run the tests on this Python; with LONG=1 all of them, as CI does
	$(bin)/pytest --numprocesses 3 --dist loadfile $(ARGS)

test-databases: .venv/databases  ## run the tests of cleanup on PostgreSQL and MariaDB, which have to be there
	$(bin)/python -m tests.databases --numprocesses auto --dist loadfile $(ARGS)

bench: .venv/bench  ## measure, beside nginx and other storages; ARGS names the benches to run
	$(bin)/python -m tests.benchmarks $(ARGS)

lint: .venv/dev  ## check style and format
	$(bin)/ruff check && $(bin)/ruff format --check

format: .venv/dev  ## put the code into form
	$(bin)/ruff check --fix && $(bin)/ruff format

types wheel: .venv/dev  ## check the types; build the wheel and look inside
	$(bin)/tox run -e $@

matrix: .venv/dev  ## run all of tox.ini: every Python and Django, lint, types, wheel
	$(bin)/tox run-parallel --parallel 2 --parallel-no-spinner

check: matrix test test-databases  ## what CI runs

clean:
	rm -rf .venv .tox dist build example/data

# Each file stands for an environment that has what its target needs.
.venv/example: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "b2fields needs Python 3.11 or newer, and this is " + sys.version.split()[0] + ". Name one, such as: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(bin)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(bin)/python -m pip install --quiet --editable ".[images,emulator]"
	@touch $@

.venv/test: .venv/example
	$(bin)/python -m pip install --quiet --group test
	@touch $@

.venv/databases: .venv/test
	$(bin)/python -m pip install --quiet --group databases
	@touch $@

.venv/bench: .venv/test
	$(bin)/python -m pip install --quiet --group bench
	@touch $@

.venv/dev: .venv/test
	$(bin)/python -m pip install --quiet --group dev
	@touch $@
