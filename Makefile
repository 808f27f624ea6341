# Two commands: `make run` (the quickstart on real captures) and `make test` (what CI runs).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TUNE := .venv-tune

.PHONY: run test test-newest lint bench soak golden findings schema clean

run: $(STAMP)
	$(BIN)/sweep run --new-if-changed studies/quickstart.yaml

# Two halves side by side, each of which leaves a second core idle: what compiles most, compiled and as plain Python, and
# all else. Those have the terminal's Ctrl-C, which a shell keeps from what it runs beside. They begin with what compiles
# nothing, so that they find what the others have compiled.
COMPILED := tests/conformance/test_evictions.py tests/conformance/test_systems.py
BESIDE := tests/conformance/test_possible_outcomes.py tests/conformance/test_samplers.py \
	tests/conformance/test_formats.py \
	$(patsubst %,tests/sweep/test_%.py,bundle figure import_fuzz measured_costs shards trace)
test: $(STAMP) lint
	($(BIN)/python -m pytest -p no:cacheprovider tests/core $(COMPILED) $(BESIDE); core=$$?; \
	NUMBA_DISABLE_JIT=1 $(BIN)/python -m pytest -p no:cacheprovider tests/core $(COMPILED); exit $$((core | $$?))) \
		>$(VENV)/core.log 2>&1 & \
	core=$$!; $(BIN)/python -m pytest tests/simulation tests/test_*.py tests/sweep tests/conformance \
		$(patsubst %,--ignore=%,$(COMPILED) $(BESIDE)); framework=$$?; \
	wait $$core; core=$$?; cat $(VENV)/core.log; exit $$((core | framework))

# What another Python breaks first: compiled code, Ray, the command line. CI runs it beside the others, on
# the newest Python that Numba supports, where the machine has one; `make VENV=.venv-newest
# PYTHON=python3.13 test` runs everything there.
test-newest: $(STAMP)
	$(BIN)/python -m pytest tests/core/test_kernel_tests.py tests/conformance/test_executors.py tests/sweep/test_cli.py

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# All figures of docs/performance.md, and the aims. Ray Tune needs pandas and more: it has a Python of its own.
bench: $(STAMP) $(TUNE)/.installed
	$(BIN)/python benchmarks/all.py --tune $(TUNE)/bin/python

$(TUNE)/.installed: constraints.txt
	$(PYTHON) -m venv $(TUNE)
	$(TUNE)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt 'ray[tune]'
	touch $@

# Every hazard of tests/soak, for its share of TIME seconds; ONLY=NAME is one of them, SEED=N one case of that again.
TIME ?= 600
soak: $(STAMP)
	$(BIN)/python tests/soak --time $(TIME) $(if $(ONLY),--only "$(ONLY)") $(if $(SEED),--seed $(SEED))

# Renew the golden outcomes, the findings (10 minutes), and what derives from the declarations of policy
# fields, outcomes, costs, formats and losses (the committed editor schema, the tables in the documents), after a
# change that means to change them.
golden: $(STAMP)
	$(BIN)/python tests/golden.py

findings: $(STAMP)
	$(BIN)/python benchmarks/findings.py

schema: $(STAMP)
	$(BIN)/sweep schema > studies/study.schema.json
	$(BIN)/python tests/declared_tables.py

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 run")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	touch $(STAMP)

clean:
	rm -rf $(VENV) $(TUNE) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
