# `make distill` and `make test` do all the set-up on a fresh machine.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: distill test test-slow lint format docs site dist fuzz clean

# Distil the default student: from PyPI to an installable wheel in packages/.
distill: $(VENV)/.installed-demo
	$(BIN)/python -m spacy project run distill

# The tests of a module run in one process and share what its fixtures make. The modules with the fewest tests, which take
# longest, are not left for the end.
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder --durations 20

# Style, types, the site, and all tests but the long ones.
test: $(VENV)/.installed-test lint site web
	$(PYTEST) -m "not slow"

# The long tests: whole lessons, students that learn until they are good, pages and examples as they are written.
test-slow: $(VENV)/.installed-test
	$(PYTEST) -m slow

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# What the JavaScript package is built and tested with; without npm its tests skip.
.PHONY: web
web:
	if command -v npm > /dev/null; then npm ci --silent --prefix web; fi

format: $(VENV)/.installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The pages and the picture that are made from the sources.
docs: $(VENV)/.installed-test
	$(BIN)/python scripts/picture.py
	$(BIN)/python scripts/config_docs.py
	$(BIN)/python scripts/troubleshooting_docs.py

# The site, in build/site; a broken link is an error.
site: $(VENV)/.installed-test
	$(BIN)/python -m sphinx --fresh-env --fail-on-warning --keep-going --quiet docs build/site

# The package's wheel and source archive, in dist/.
dist: $(VENV)/.installed-demo
	$(BIN)/python -m build

# What reads files of others, with bytes that nobody thought of; the new ones that reach far are in build/fuzz.
SECONDS_EACH ?= 600
fuzz: $(VENV)/.installed-fuzz
	for target in shard manifest header texts config curve; do \
	  $(BIN)/python fuzz/fuzz.py $$target build/fuzz/$$target --seconds $(SECONDS_EACH) || exit 1; done

# What a machine with a GPU and no network needs for benchmarks/gpu.py, in folders of 60 MiB: docs/gpu.md.
.PHONY: gpu-wheels
GPU_PYTHON ?= 3.12
gpu-wheels: $(VENV)/.installed-demo
	rm -rf build/gpu-wheels
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir build/gpu-wheels .
	$(BIN)/python -m pip download --quiet --no-deps --only-binary :all: --python-version $(GPU_PYTHON) --implementation cp \
	  --platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 \
	  --constraint constraints.txt --requirement benchmarks/gpu_wheels.txt --dest build/gpu-wheels
	$(BIN)/python benchmarks/gpu_wheels.py build/gpu-wheels

$(VENV)/.installed-%: setup.cfg pyproject.toml constraints.txt
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[$*]"
	touch $@

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
