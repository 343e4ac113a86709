# Everything below needs only make and Python 3.10 to 3.13; PYTHON=... chooses another one.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.10; do \
	$$p -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip install -q --disable-pip-version-check

.PHONY: help demo test check bench goldens clean

help:
	@echo "make demo    the whole chain on spoken clips, offline: audio to features to tf.data"
	@echo "make test    the tests, in an environment of their own"
	@echo "make check   ruff, mypy and the slow end-to-end tests"
	@echo "make bench   the speed of the local default, on 12 hours of audio"
	@echo "make clean   removes the environment and what the demo wrote"

.venv/installed-%: pyproject.toml setup.py
	@test -n "$(PYTHON)" || { echo "melbeam needs Python 3.10 to 3.13: make PYTHON=/path/to/python3" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) -e '.[$*]'
	@touch $@

demo: .venv/installed-demo
	$(BIN)/melbeam demo

test: .venv/installed-test
	$(BIN)/python -m pytest -m "not slow" -q

check: .venv/installed-test .venv/installed-check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -p melbeam.transforms -p melbeam.pipelines
	$(BIN)/python -m pytest -m slow -q

bench: .venv/installed-test
	$(BIN)/python benchmarks/extract_speed.py

clean:
	rm -rf .venv melbeam-demo
