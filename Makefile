# Every target does its own set-up: it needs Python 3.9 or later with venv,
# nothing else. The environments go to .envs (or $BUNDLESTORE_ENVS).

PYTHON ?= python3
ENVS := $(if $(BUNDLESTORE_ENVS),$(BUNDLESTORE_ENVS),.envs)
BIN := $(ENVS)/tools/bin
# what pytest compiles it keeps: it needs twice as long for it as to read it
unexport PYTHONDONTWRITEBYTECODE
# further words for pytest, such as PYTEST="-k push -x"
PYTEST ?=

.DEFAULT_GOAL := help
.PHONY: help demo test quick lint load fuzz
.PHONY: bench bench-index bench-web bench-ci bench-backends
.PHONY: dev clean faults kills matrix mutants nightly nightly-tests upstream

help:
	@echo 'make demo [REPO=path-or-url] [KEEP=1]'
	@echo '            the main job, step by step, on a repository'
	@echo 'make test   lint and the tests that each change has to pass'
	@echo 'make quick  those of them that are not slow'
	@echo 'make nightly'
	@echo '            all tests, with every start of hg a real one, and fuzz,'
	@echo '            faults, 200 kills and upstream: hours'
	@echo 'make lint   ruff and mypy'
	@echo 'make bench [QUICK=1] [WORK=folder] [REPO=path]'
	@echo '            what we and our peers take, in 25 minutes (QUICK=1: 3)'
	@echo 'make bench-index'
	@echo '            the index at ten million changesets'
	@echo 'make bench-web'
	@echo '            what pages of scratch changesets cost the server'
	@echo 'make bench-ci [QUICK=1] [WORK=folder] [REPO=path]'
	@echo '            what fifty machines cost that want one changeset'
	@echo 'make bench-backends [QUICK=1] [WORK=folder]'
	@echo '            what databases and object stores add, beside files'
	@echo 'make load [SECONDS=3600]'
	@echo '            sixteen users at once for an hour: is anything lost?'
	@echo 'make fuzz [SECONDS=300]'
	@echo '            nonsense for all that reads what users send'
	@echo 'make faults [KIND=eio]'
	@echo '            each file operation of a server fails in turn'
	@echo 'make kills [COUNT=1000] [SEED=1] [SEVERAL=1]'
	@echo '            servers of real clients are killed at any moment'
	@echo 'make matrix [KIND=lfs] [VERSION=6.9.5] [TRANSPORT=ssh] [KEEP=file]'
	@echo '            every kind of repository in every way: what works?'
	@echo 'make mutants [ONLY="push/ lookup.py"]'
	@echo '            small breaks of the code: does the quick loop see them?'
	@echo 'make upstream [TESTS="push hook"] [RUN=server] [UPDATE=1]'
	@echo "            Mercurial's own tests with the extension on: what differs?"
	@echo 'make dev    make or refresh all environments, say where they are'
	@echo 'make clean  remove everything that the others made'

# By way of the environment, so that the shell does not read the words again
demo: export BUNDLESTORE_DEMO_REPO = $(REPO)
demo: export BUNDLESTORE_DEMO_KEEP = $(KEEP)
demo:
	@$(PYTHON) tools/demo.py

# lint first: the last line is to be pytest's
test: lint
	@$(PYTHON) tools/environments.py
	$(BIN)/pytest -n auto $(PYTEST)

quick:
	@$(PYTHON) tools/environments.py
	$(BIN)/pytest -n auto -m 'not slow' $(PYTEST)

# the one does not stop the next
nightly:
	@$(MAKE) --no-print-directory --keep-going \
	    lint nightly-tests fuzz faults kills upstream COUNT=200

# what has to do less in "make test" asks tests/harness/nightly.py
nightly-tests: export BUNDLESTORE_NIGHTLY = 1
nightly-tests: export BUNDLESTORE_REAL_STARTS = 1
nightly-tests:
	@$(PYTHON) tools/environments.py
	$(BIN)/pytest -n auto $(PYTEST)

lint:
	@$(PYTHON) tools/environments.py --only tools
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# WORK keeps what is built on the way, for the next time
bench: export BUNDLESTORE_BENCH_REPO = $(REPO)
bench: export BUNDLESTORE_BENCH_WORK = $(WORK)
bench:
	@$(PYTHON) tools/environments.py
	@$(BIN)/python -m bench $(if $(QUICK),--quick) $(if $(SMOKE),--smoke)

bench-index:
	@$(PYTHON) tools/environments.py
	@$(BIN)/python bench/index.py --full --json bench/index.json

bench-web:
	@$(PYTHON) tools/environments.py
	@$(BIN)/python bench/web.py

bench-ci: export BUNDLESTORE_BENCH_REPO = $(REPO)
bench-ci: export BUNDLESTORE_BENCH_WORK = $(WORK)
bench-ci:
	@$(PYTHON) tools/environments.py
	@$(BIN)/python bench/ci.py \
	    $(if $(QUICK),--quick,--json bench/ci.json)

bench-backends:
	@$(PYTHON) tools/environments.py
	@$(BIN)/python bench/backends.py $(if $(QUICK),--quick) \
	    $(if $(WORK),--work '$(WORK)')

# as "make test" does for a minute
load: export BUNDLESTORE_LOAD_SECONDS = $(or $(SECONDS),3600)
load:
	@$(PYTHON) tools/environments.py
	$(BIN)/pytest -n 0 tests/test_load.py $(PYTEST)

# atheris finds more, but is not to be had everywhere
fuzz:
	@$(PYTHON) tools/environments.py --only tools
	@$(BIN)/python -c 'import atheris' 2>/dev/null || \
	    $(ENVS)/pip/bin/python -m pip --quiet --python $(BIN)/python install \
	        --only-binary :all: atheris || \
	    echo 'without atheris: by the loop of our own'
	@PYTHONPATH=tests $(BIN)/python -m fuzz \
	    --seconds $(if $(SECONDS),$(SECONDS),300)

# tests/faults/README.rst tells what these do
faults:
	@$(PYTHON) tools/environments.py
	@PYTHONPATH=tests:tools $(BIN)/python -m faults \
	    $(if $(KIND),--kind $(KIND))

kills:
	@$(PYTHON) tools/environments.py
	@PYTHONPATH=tests:tools $(BIN)/python -m faults.blindkills \
	    $(if $(COUNT),--count $(COUNT)) $(if $(SEED),--seed $(SEED)) \
	    $(if $(SEVERAL),--several)

# all of it writes docs/compatibility.rst; KEEP has what was found go on
matrix:
	@$(PYTHON) tools/environments.py
	@PYTHONPATH=tests:tools $(BIN)/python -m kinds \
	    $(if $(KIND),--kind '$(KIND)') $(if $(VERSION),--version $(VERSION)) \
	    $(if $(TRANSPORT),--transport $(TRANSPORT)) \
	    $(if $(KEEP),--keep '$(KEEP)')

# tests/breaks.py lists them
mutants:
	@$(PYTHON) tools/environments.py
	@PYTHONPATH=tests:tools $(BIN)/python -m mutants $(ONLY)

# UPDATE has what differs now be what is expected: read it, and say why
upstream:
	@$(PYTHON) tools/environments.py
	@PYTHONPATH=tests:tools $(BIN)/python -m upstream \
	    $(if $(RUN),--run $(RUN)) $(if $(UPDATE),--update) $(TESTS)

dev:
	@$(PYTHON) tools/environments.py
	@echo 'pytest, ruff, mypy and hg:  $(BIN)'
	@echo 'hg VERSION with the project: $(ENVS)/VERSION/ext/bin/hg'
	@echo 'hg VERSION without:          $(ENVS)/VERSION/plain/bin/hg'

clean:
	rm -rf $(ENVS) .bench build dist artefacts *.egg-info
	rm -rf .hypothesis .mypy_cache .pytest_cache .ruff_cache
