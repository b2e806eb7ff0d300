# make demo   a network for 1,500 parameters in two minutes, and its report
# make test   what CI runs (two test processes of one thread each)
# make docs   the documentation as a site, in site/
# make wheel  what a release consists of, in dist/, built and tried in an environment of its own
# Both build .venv once, with PYTHON. PY=path/to/python uses an environment that is there already.
PYTHON ?= python3
VENV := .venv
PY ?= $(VENV)/bin/python
READY := $(if $(filter $(VENV)/bin/python,$(PY)),$(VENV)/.ready)
DEMO := runs/demo
export PYTHONPATH := $(CURDIR)/src

.PHONY: demo test docs wheel clean

demo: $(READY)
	$(PY) -m steerage synth digits --max-params 1500 --minutes 2 --out $(DEMO)
	@echo "report: $(CURDIR)/$(DEMO)/report.html"

test: $(READY)
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	$(PY) -m mypy --strict src
	OMP_NUM_THREADS=1 $(PY) -m pytest -q -n 2

# The site, with every link checked. Its tools have an environment of their own.
docs: $(READY)
	test -x .venv-docs/bin/mkdocs || ($(PYTHON) -m venv .venv-docs && .venv-docs/bin/pip install -q 'mkdocs-material>=9.5' 'mkdocstrings[python]>=0.26')
	.venv-docs/bin/mkdocs build --strict --site-dir site

# Built from what git knows, so that no file of this folder alone gets in.
wheel: $(READY)
	test -x .venv-build/bin/python || $(PYTHON) -m venv .venv-build
	.venv-build/bin/python -m pip install -q build
	rm -rf dist build/release
	git checkout-index --all --prefix=build/release/
	.venv-build/bin/python -m build --outdir dist build/release
	$(PY) tests/release.py dist

# torch goes first and alone: the largest download is then not repeated when a later package fails to install.
$(VENV)/.ready: pyproject.toml constraints.txt
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install -q -c constraints.txt $$(grep '^torch==' constraints.txt)
	$(VENV)/bin/python -m pip install -q -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache
