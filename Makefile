# make serve   the service with the embedded default, on http://127.0.0.1:8000
# make test    every check: format, lint, types, tests
# make lint    format, lint, types alone
# make bench   how fast it is beside others; writes tests/benchmarks/RESULTS.md, on a machine with nothing else to do
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

TARGET ?= cpu
IMAGE_OPTIONS ?= cpu

BIN := $(VENV)/bin
STAMPS := $(VENV)/stamps

.PHONY: serve test lint bench lock image image-test release-check clean

serve: $(STAMPS)/serve
	$(BIN)/yolo9000 serve --port $(PORT)

test: $(STAMPS)/test lint
	$(BIN)/python -m pytest

lint: $(STAMPS)/test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(STAMPS)/bench
	$(BIN)/python -m tests.benchmarks.run --fresh --output tests/benchmarks/RESULTS.md

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
	$(BIN)/python -m pip install --quiet '$(TORCH)'
	$(BIN)/python -m pip install --quiet --editable '.[cpu,train,test]'
	touch $@

$(STAMPS)/bench: $(STAMPS)/test
	$(BIN)/python -m pip install --quiet --editable '.[cpu,train,test,bench]'

$(STAMPS)/release: pyproject.toml | $(STAMPS)/venv
	$(BIN)/python -m pip install --quiet --editable '.[release]'
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
