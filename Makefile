# make serve   the service with the embedded default, on http://127.0.0.1:8000
# make check   format, lint, types and the fast tests: a minute; know that nothing broke
# make test    every check: format, lint, types and all tests; know that it may ship
# make fast    the fast tests alone
# make lint    format, lint, types, imports alone, of Python and, where there is node, of the page's scripts
# make bench   how fast it is beside others; writes tests/benchmarks/RESULTS.md, on a machine with nothing else to do;
#              RESULTS=FILE writes another
#
# TESTS="tests/app tests/model" runs a part; PYTEST_OPTIONS="-k walk" passes options on; WORKERS=0 runs in one process.
#
# make lock            the lock files of the image anew, from pyproject.toml; LOCK_OPTIONS=--upgrade takes newer releases
# make image           the image with Docker, as yolo9000; TARGET=gpu makes yolo9000:gpu
# make image-test      the image with buildah, run and checked (root; IMAGE_OPTIONS="cpu gpu --install")
# make release-check   sdist, wheel, bill of materials and licences, in dist/; the wheel is tried by itself

PYTHON ?= python3
PORT ?= 8000
VENV ?= .venv
# One known release for the tests. Where its CUDA build is not wanted, install a CPU build of it first.
TORCH ?= torch==2.13.0

# Whatever takes pip's arguments. uv takes a tenth of pip's time; INSTALL='.venv/bin/python -m pip install' does without.
INSTALL ?= $(BIN)/python -m uv pip install --compile-bytecode --python $(BIN)/python
EXTRAS ?= cpu,train,test
TESTS ?=
WORKERS ?= 2
PYTEST_OPTIONS ?=

TARGET ?= cpu
IMAGE_OPTIONS ?= cpu
RESULTS ?= tests/benchmarks/RESULTS.md

BIN := $(VENV)/bin
NPM := $(shell command -v npm)
UV := uv>=0.5,<1
STAMPS := $(VENV)/stamps

# $(call timed,NAME,COMMAND) runs a command and says how long it took.
timed = @echo '$(subst ','\'',$(2))'; start=$$(date +%s); $(2); status=$$?; \
  echo "$(1): $$(($$(date +%s) - start)) s"; exit $$status

.PHONY: serve check fast test lint bench lock image image-test release-check clean

serve: $(STAMPS)/serve
	$(BIN)/yolo9000 serve --port $(PORT)

pytest = $(call timed,$(1),$(BIN)/python -m pytest -n $(WORKERS) $(2) $(PYTEST_OPTIONS) $(TESTS))

check: lint fast

fast: $(STAMPS)/test
	$(call pytest,fast tests,-m 'not slow' -q)

test: $(STAMPS)/test lint
	$(call pytest,tests,)

lint: $(STAMPS)/test $(STAMPS)/page
	$(call timed,format,$(BIN)/ruff format --check .)
	$(call timed,lint,$(BIN)/ruff check .)
	$(call timed,types,$(BIN)/mypy)
	$(call timed,rooms,$(BIN)/lint-imports --no-cache)
	$(call timed,page,$(if $(NPM),npm run --silent lint,echo "skipped: node is not installed"))

bench: $(STAMPS)/bench
	$(BIN)/python -m tests.benchmarks.run --fresh --output $(RESULTS)

lock: $(STAMPS)/release
	UV=$(BIN)/uv deploy/locks/update.sh

image:
	docker build --target $(TARGET) --tag yolo9000:$(TARGET) $(if $(filter cpu,$(TARGET)),--tag yolo9000) \
	  --build-arg VERSION=$$(sed -n 's/^VERSION = "\(.*\)"/\1/p' model/version.py) \
	  --build-arg REVISION=$$(git rev-parse HEAD) .

image-test: $(STAMPS)/test
	$(BIN)/python -m deploy.image $(IMAGE_OPTIONS)

release-check: $(STAMPS)/test $(STAMPS)/release
	$(BIN)/python -m deploy.release

$(STAMPS)/venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or later is needed: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	mkdir -p $(STAMPS)
	touch $@

$(STAMPS)/serve: pyproject.toml | $(STAMPS)/venv
	$(BIN)/python -m pip install --quiet --editable '.[cpu]'
	touch $@

$(STAMPS)/test: pyproject.toml | $(STAMPS)/venv
	@date +%s >$(STAMPS)/start
	$(if $(TORCH),$(BIN)/python -m pip install --quiet '$(TORCH)')
	$(if $(findstring uv,$(INSTALL)),$(BIN)/python -m pip install --quiet '$(UV)')
	$(INSTALL) --quiet --editable '.[$(EXTRAS)]'
	@echo "installation: $$(($$(date +%s) - $$(cat $(STAMPS)/start))) s"
	touch $@

$(STAMPS)/page: package.json package-lock.json | $(STAMPS)/venv
	$(if $(NPM),npm ci --silent)
	touch $@

$(STAMPS)/bench: $(STAMPS)/test
	$(BIN)/python -m pip install --quiet --editable '.[cpu,train,test,bench]'

$(STAMPS)/release: pyproject.toml | $(STAMPS)/venv
	$(BIN)/python -m pip install --quiet --editable '.[release]'
	touch $@

clean:
	rm -rf $(VENV) node_modules build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
