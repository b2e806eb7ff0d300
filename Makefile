# make demo   a network for 1,500 parameters in two minutes, and its report
# make test   what CI runs (two test processes of one thread each), and the site with its links where mkdocs is installed
# make docs   the documentation as a site, in site/
# make wheel  what a release consists of, in dist/, built and tried in an environment of its own
# Both build .venv once, with PYTHON. PY=path/to/python uses an environment that is there already.
PYTHON ?= python3
VENV := .venv
PY ?= $(VENV)/bin/python
READY := $(if $(filter $(VENV)/bin/python,$(PY)),$(VENV)/.ready)
DEMO := runs/demo
# --strict: a link or a reference that leads nowhere is an error (with --quiet it would be none). The banner is one of the theme's.
SITE = NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict
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
	@if $(PY) -c 'import mkdocs, material, mkdocstrings' 2>/dev/null; then $(SITE) --site-dir build/site; \
	else echo "the site is not built: $(PY) -m pip install 'steerage-nn[docs]'"; fi

# The site, in site/.
docs: $(READY)
	$(SITE) --site-dir site

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
	$(VENV)/bin/python -m pip install -q -c constraints.txt -e '.[docs]' || echo 'the tools of the site cannot be installed'
	touch $@

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache
