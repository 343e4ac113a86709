# Everything below needs only make and Python 3.10 to 3.13; PYTHON=... chooses another one.
# A candidate must run and bring pip: a shim on the PATH may stand for a Python that is not there.
SUITS := import ensurepip, sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3.10 python3; do \
	$$p -c '$(SUITS)' >/dev/null 2>&1 && echo $$p && break; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check

.PHONY: help demo test check parity bench bench-all test-prism test-cloud test-flink rehearse-dataflow test-frameworks test-tfio test-page test-examples test-models docs matrix clean
.NOTPARALLEL:

help:
	@echo "make demo    what melbeam does, on spoken clips, offline: features, rejects, tf.data, a report"
	@echo "make test    the tests, in an environment of their own"
	@echo "make check   ruff, mypy, pip-audit and the slow tests, two minutes of fuzzing among them"
	@echo "make parity  the distances from keras-hub and transformers, into docs/parity.md and the README"
	@echo "make bench   the speed of the local default, on 12 hours of audio"
	@echo "make bench-all  every measured claim, into benchmarks/results and the docs; within an hour, after make parity"
	@echo "make test-prism  the same job on Prism, Beam's portable runner; needs Go"
	@echo "make test-cloud  input and output on gs:// and s3://, against the stores' emulators"
	@echo "make rehearse-dataflow  a Dataflow job, from its submission to its features, without the cloud"
	@echo "make test-flink  the same job on Apache Flink; needs Java 17 and Maven"
	@echo "make test-frameworks  the demo's features in TFDS, PyTorch, grain and datasets; Croissant"
	@echo "make test-page  the report's page in a browser; needs Chromium"
	@echo "make test-tfio  decoding inside the graph with tensorflow-io; needs Python 3.11 or 3.12"
	@echo "make test-examples  each example and task page, run to its end"
	@echo "make test-models  stored features in keras-hub's and transformers' models, into docs/reading.md"
	@echo "make docs    the site of docs/, with the API from the docstrings, into build/site"
	@echo "make matrix  the quick tests on Python 3.10 to 3.13 and both ends of TensorFlow; an hour"
	@echo "make clean   removes the environment, caches and what the demo wrote"

$(BIN)/python:
	@test -n "$(PYTHON)" && $(PYTHON) -c '$(SUITS)' 2>/dev/null || { \
		echo "melbeam needs Python 3.10 to 3.13 with pip, got '$(PYTHON)': make PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv .venv

# Editable, so that what is run is what is in the folder.
.venv/.installed-demo: pyproject.toml setup.py | $(BIN)/python
	$(PIP) -e '.[demo]'
	@touch $@

.venv/.installed-run: pyproject.toml setup.py | $(BIN)/python
	$(PIP) -q -e '.[demo,test]'
	@touch $@

.venv/.installed-check: pyproject.toml setup.py | $(BIN)/python
	$(PIP) -q -e '.[demo,test,check]'
	@touch $@

demo: .venv/.installed-demo
	$(BIN)/melbeam demo

# Two processes for two cores: the threads that NumPy's matrix products start would only wait for each other.
test: .venv/.installed-run
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -q -n 2 --dist loadfile

# mypy does not see through an editable install, so it is shown the package by links.
check: .venv/.installed-check docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@mkdir -p .venv/typed/melbeam
	@for p in configs pipelines transforms; do ln -sfn ../../../$$p .venv/typed/melbeam/$$p; done
	MYPYPATH=.venv/typed $(BIN)/mypy -p melbeam.transforms -p melbeam.pipelines
	$(BIN)/python scripts/check_types.py
	$(BIN)/python scripts/audit.py
	$(BIN)/python -m pytest -m slow -q -n 2 --dist loadfile

# What brings hundreds of packages, or some gigabytes, has an environment of its own: .venv-NAME, with the extra NAME.
# Triton, a gigabyte that PyTorch brings for GPUs, aborts a process that has TensorFlow in it: two LLVMs.
.venv-%/.installed: pyproject.toml setup.py | $(BIN)/python
	$(PYTHON) -m venv .venv-$*
	.venv-$*/bin/python -m pip install -q --disable-pip-version-check -e '.[$*]'
	@.venv-$*/bin/python -m pip uninstall -q -y triton 2>/dev/null
	@touch $@

# keras-hub and transformers.
parity: .venv-parity/.installed
	.venv-parity/bin/python -m pytest tests/parity tests/end_to_end/test_verify.py -q
	.venv-parity/bin/python scripts/parity_table.py

bench: .venv/.installed-run
	$(BIN)/python benchmarks/pipeline.py --parts wav long --print_only

# Each takes at most the minutes in its first lines, on an idle machine; nothing else should run.
bench-all: .venv/.installed-run
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/memory.py
	$(BIN)/python benchmarks/shard.py
	$(BIN)/python benchmarks/overlap.py
	$(BIN)/python benchmarks/store.py
	$(BIN)/python benchmarks/sizes.py
	$(BIN)/python benchmarks/report.py
	$(BIN)/python benchmarks/pipeline.py
	$(BIN)/python benchmarks/scaling.py
	$(BIN)/python benchmarks/interpreter.py
	-$(BIN)/python benchmarks/sources.py
	$(BIN)/python scripts/performance_tables.py

# An engine is fetched or built once, into ~/.cache/melbeam.
test-prism: .venv/.installed-run
	$(BIN)/python -m pytest tests/engines -m prism -q

# The stores' clients and emulators.
test-cloud: .venv-cloud/.installed
	.venv-cloud/bin/python -m pytest tests/engines -m cloud -q

rehearse-dataflow: .venv-cloud/.installed
	.venv-cloud/bin/python scripts/rehearse_dataflow.py

test-flink: .venv/.installed-run
	$(BIN)/python -m pytest tests/engines -m flink -q

# What reads arrays: PyTorch alone is some gigabytes.
test-frameworks: .venv-frameworks/.installed
	.venv-frameworks/bin/python -m pytest tests/frameworks tests/test_tasks.py -q -k 'frameworks or from_datasets'

# tensorflow-io has no wheels for Python 3.13, and its operations load on TensorFlow 2.16 alone, which has none either.
.venv-tfio/.installed: pyproject.toml setup.py
	@TFIO_PYTHON=$$(for p in python3.12 python3.11 $(PYTHON); do $$p -c 'import ensurepip, sys; \
		sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' >/dev/null 2>&1 && echo $$p && break; done); \
	test -n "$$TFIO_PYTHON" || { echo "melbeam[tfio] needs Python 3.11 or 3.12" >&2; exit 1; }; \
	$$TFIO_PYTHON -m venv .venv-tfio
	.venv-tfio/bin/python -m pip install -q --disable-pip-version-check -e '.[tfio,test]'
	@touch $@

test-tfio: .venv-tfio/.installed
	.venv-tfio/bin/python -m pytest tests/tfio -m tfio -q

# The models that the examples train.
test-examples: .venv-examples/.installed
	.venv-examples/bin/python -m pytest tests/examples tests/test_tasks.py -q

# The models' inputs and outputs beside the references' own, and how far they are apart, into docs/reading.md.
test-models: .venv-examples/.installed
	.venv-examples/bin/python -m pytest tests/parity/test_encoders.py tests/parity/test_model_inputs.py \
		tests/parity/test_keras_layers.py tests/parity/test_token_counts.py -q
	.venv-examples/bin/python scripts/encoders_table.py

# A browser's driver and axe-core; the browser is the system's.
test-page: .venv-page/.installed
	.venv-page/bin/python -m pytest tests/page -m page -q

# The site reads the sources and imports none of them, so its environment has neither TensorFlow nor Beam.
.venv-docs/.installed: pyproject.toml | $(BIN)/python
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python scripts/requirements_of_extra.py docs | xargs .venv-docs/bin/python -m pip install -q --disable-pip-version-check
	@touch $@

docs: .venv-docs/.installed
	.venv-docs/bin/mkdocs build --strict

# Each cell has an environment of its own, of two gigabytes, which goes when its tests have passed.
matrix: | $(BIN)/python
	$(BIN)/python scripts/matrix.py $(MATRIX)

clean:
	rm -rf .venv .venv-* build melbeam-demo .pytest_cache .mypy_cache .ruff_cache .hypothesis
