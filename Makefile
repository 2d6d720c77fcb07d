# `make demo` and `make test` set themselves up. `make setup PYTHON=python3.13` chooses a Python.

SHELL := bash
VENV := .venv
BIN := $(VENV)/bin
CONSTRAINTS := constraints.txt

.PHONY: demo test pytest setup clean
demo: setup
	$(BIN)/gradkit demo

test: setup
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy
	$(TESTS)
	$(BIN)/gradkit verify $(VERIFY)

pytest: setup
	$(TESTS)

setup: $(VENV)/installed

# One BLAS thread for each worker: more threads than cores wait for each other. nbval, which no test
# needs here, takes each worker a second to import.
TESTS = OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist loadfile \
    --no-loadscope-reorder -p no:nbval $(TESTED)

PYTHONS := $(or $(PYTHON),python3 python3.13 python3.12 python3.11 python3.14 python)

$(VENV)/installed: pyproject.toml requirements.txt constraints.txt
	@for p in $(PYTHONS); do \
	    if "$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	        echo "Setting up $(VENV) with $$("$$p" --version)"; exec "$$p" -m venv --clear $(VENV); \
	    fi; \
	done; \
	echo "gradkit needs Python 3.11 or newer; none of these is: $(PYTHONS)"; \
	echo "Install one, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3"; exit 1
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) -e '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) demo dist .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
