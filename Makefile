# Two commands on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# Tests run one process a core, a file in one of them; each keeps to one thread, or they would fight for the cores.
SINGLE := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

.PHONY: install demo test test-slow lint clean

install: $(INSTALLED)

# xgboost-cpu is xgboost without several hundred MB of CUDA libraries; on a GPU machine install xgboost itself.
# torch comes first and by itself, at the version of constraints.txt: a range would let pip take a build
# with several GB of CUDA libraries.
$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -c "import sys; sys.exit('Python 3.11 or newer is needed' if sys.version_info < (3, 11) else 0)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev,statistical,ray]" xgboost-cpu
	touch $(INSTALLED)

demo: install
	$(BIN)/python -m pipeline.run

test: install lint
	$(SINGLE) $(BIN)/python -m pytest -n auto --dist loadfile -m "not slow" --durations=15

test-slow: install
	$(SINGLE) $(BIN)/python -m pytest -m slow --durations=15

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
