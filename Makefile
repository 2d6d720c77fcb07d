# `make demo` and `make test` set themselves up. `make setup PYTHON=python3.13` chooses a Python.

SHELL := bash
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test pytest setup notebook clean
demo: setup
	$(BIN)/python -m gradkit demo

test: setup
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy
	$(TESTS)
	$(BIN)/python -m gradkit verify

pytest: setup
	$(TESTS)

# Runs the solved notebook and stores its outputs in it. They must be those of the stand-in,
# since those are the ones that everyone can compute again.
notebook: setup
	$(BIN)/python -m gradkit store-outputs

setup: $(VENV)/installed

# Side by side, more threads than processors would make BLAS wait for itself. A file's tests stay
# together, since they share what takes long to make; in the files' order, since those with the fewest
# tests, which would come last otherwise, are not the shortest.
TESTS = OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist loadfile \
    --no-loadscope-reorder $(TESTED)

PYTHONS := $(or $(PYTHON),python3 python3.13 python3.12 python3.11 python3.14 python)

$(VENV)/installed: requirements.txt requirements-cluster.txt requirements-dev.txt
	@for p in $(PYTHONS); do \
	    if "$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	        echo "Setting up $(VENV) with $$("$$p" --version)"; exec "$$p" -m venv --clear $(VENV); \
	    fi; \
	done; \
	echo "gradkit needs Python 3.11 or newer, and none of these is: $(PYTHONS)"; \
	echo "Install one, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3"; exit 1
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt -r requirements-dev.txt
	@touch $@

clean:
	rm -rf $(VENV) demo dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
