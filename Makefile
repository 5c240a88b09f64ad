# make demo   runs the main job on speech that it makes itself, and says where the report is
# make test   passes the tests
# make check  format, lint, strict types, direction of imports
# make soak   what takes longer than make test may
# make encoders  speaks the speech and pre-trains the encoders in the box again: an hour or a few, goes on after a stop
#
# pip's default PyTorch for Linux brings several gigabytes of CUDA. To take the small CPU build, name the address of
# the CPU index that PyTorch's own "Get started" page shows:  make demo TORCH_INDEX=ADDRESS

PYTHON ?= python3
TORCH_INDEX ?=
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test check soak fix clean encoders
.DELETE_ON_ERROR:

demo: $(VENV)/.installed
	$(BIN)/sibboleth demo

# One process more than two cores carry, since tests also wait, each with one thread; tests of one file stay together, and
# share what they made.
test: $(VENV)/.installed-for-development
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not soak" --numprocesses 3 --dist loadscope

soak: $(VENV)/.installed-for-development
	$(BIN)/python -m pytest -m soak --timeout 3600

check: $(VENV)/.installed-for-development
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

encoders: $(VENV)/.installed
	$(BIN)/sibboleth box

fix: $(VENV)/.installed-for-development
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

clean:
	rm -rf $(VENV) runs demo

# torch comes first, so that what depends on it finds it there.
$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "sibboleth needs Python 3.11 or newer: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch
	$(PIP) --editable '.[models,speech,listen]'
	@touch $@

$(VENV)/.installed-for-development: $(VENV)/.installed
	$(PIP) --editable '.[models,speech,listen,formats,ray,dev]'
	@touch $@
