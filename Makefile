# Every verb sets up what it needs: `make test` on a fresh machine with python3 (>= 3.11) and make just works.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
OUT    ?= out
REFERENCE := .venv-reference

# uv stays inside .venv and uses this machine's Python; it never downloads one.
export UV_PYTHON_DOWNLOADS := never
export VIRTUAL_ENV := $(CURDIR)/$(VENV)
# Several small processes beat one process with many threads, and results do not depend on the core count.
export OMP_NUM_THREADS ?= 1

.PHONY: help setup demo reproduce coverage test fuzz check docs wheels wheels-test bench real bench-reference lock clean

help:            ## Show these verbs.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 17

setup: $(READY)  ## Create .venv with everything for development.

$(READY): pyproject.toml requirements/bootstrap.lock requirements/dev.lock
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "vvscale needs Python >= 3.11, got " + sys.version.split()[0] + "; set PYTHON=/path/to/python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/bootstrap.lock
	$(BIN)/uv pip install --quiet --compile-bytecode --require-hashes -r requirements/dev.lock
	$(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

demo: $(READY)   ## A whole small study: train, score, fit, draw, report; results in out/demo.
	$(BIN)/vvscale study run demo --out $(OUT)/demo

reproduce: $(READY)  ## Fit the 43 laws of the study with 1000 resamples each; results in out/reproduce.
	$(BIN)/vvscale reproduce --resamples 1000 --out $(OUT)/reproduce

coverage: $(READY)  ## Simulate whether intervals cover, 200 sets per design (SETS=20 for a look); writes docs/coverage.md.
	$(BIN)/python benchmarks/coverage.py run --sets $(or $(SETS),200) --out $(OUT)/coverage
	$(BIN)/python benchmarks/coverage.py write docs/coverage.md --out $(OUT)/coverage

test: $(READY)   ## Run the tests.
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

fuzz: $(READY)   ## Changed files of every kind to every reader, ten minutes each; SECONDS=60 for less, SEED=n to repeat.
	VVSCALE_FUZZ_SEED=$(or $(SEED),$$(date +%s)) VVSCALE_FUZZ_SECONDS=$(or $(SECONDS),600) $(BIN)/python -m pytest tests/fuzz -q -s

check: $(READY)  ## Format, lint and type checks.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/basedpyright

docs: $(READY)   ## The documentation site, without network; a warning is an error. Open docs/_build/html/index.html.
	$(BIN)/python -m sphinx -b html -W --keep-going -q docs docs/_build/html

wheels: $(READY) ## Wheel and source distribution into dist/.
	rm -rf dist && $(BIN)/uv build --quiet --no-build-isolation --out-dir dist

wheels-test: wheels  ## Install the wheel with each extra into a fresh environment and run it; downloads several GB.
	$(BIN)/python packaging/check_wheel.py dist/*.whl "" figures models train score study

bench: $(READY)  ## Speed, as ratios within one run.
	$(BIN)/python -m pytest benchmarks --benchmark-only -q -s --benchmark-columns=median,rounds

real: $(READY)   ## Real recordings, real networks: score them on a session of V4, compare; QUICK=1 for the best layers alone.
	$(BIN)/uv pip install --quiet --no-deps --require-hashes -r requirements/real.lock
	$(BIN)/python benchmarks/real/compare.py $(if $(QUICK),--quick)

bench-reference: $(READY) $(REFERENCE)/.ready  ## Metrics beside the reference implementation; LARGE=1 adds 20 minutes.
	OMP_NUM_THREADS=2 $(BIN)/python benchmarks/reference/compare.py --python $(REFERENCE)/bin/python $(if $(LARGE),--large)

# The reference's pins exclude ours, so it has an environment of its own, from the same machine's Python.
$(REFERENCE)/.ready: benchmarks/reference/requirements.lock | $(READY)
	$(BIN)/uv venv --quiet --clear --python $(PYTHON) $(REFERENCE)
	VIRTUAL_ENV=$(CURDIR)/$(REFERENCE) $(BIN)/uv pip install --quiet --require-hashes -r $<
	touch $@

lock: $(READY)   ## Renew the pinned dependencies.
	cd requirements && $(CURDIR)/$(BIN)/uv pip compile -q --upgrade --universal --generate-hashes --no-annotate --no-header bootstrap.in -o bootstrap.lock
	$(BIN)/uv pip compile -q --upgrade --universal --generate-hashes --no-header --python-version 3.11 pyproject.toml --all-extras --group dev -o requirements/dev.lock
	$(BIN)/uv pip compile -q --upgrade --universal --generate-hashes --no-deps --no-annotate --no-header --python-version 3.11 --group pyproject.toml:real -o requirements/real.lock
	$(BIN)/uv pip compile -q --upgrade --universal --generate-hashes --no-annotate --no-header --python-version 3.11 benchmarks/reference/requirements.in -o benchmarks/reference/requirements.lock

clean:           ## Remove the environments, caches and results.
	rm -rf $(VENV) $(REFERENCE) .pytest_cache .ruff_cache .hypothesis $(OUT)
