# What anybody needs runs in .venv: Flower, PyTorch and all. Checks and unit tests run in .venv-dev,
# which has neither. Both are made when they are missing.
PYTHON ?= python3
BIN := .venv/bin
DEV := .venv-dev/bin
PROTO_BIN := .venv-protos/bin
VANTAGE6 := $(if $(shell docker version >/dev/null 2>&1 && echo yes),.venv-vantage6/installed \
    .venv-vantage6-5/installed)
UNITS := proxy algorithm
# `compat` puts a line in a .pth file where setuptools else has every Python look for packages. Tests
# start hundreds, and so does a run on this machine: one for each message.
EDITABLE := --config-settings editable_mode=compat --editable

# Tests start hundreds of Pythons, and each would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test unit coverage simulate kills kills-vantage6 integration lint format docs \
    test-compose test-direct test-lanes test-more test-simulation test-vantage6 test-examples benchmark \
    benchmark-lanes benchmark-vantage6 fuzz compat compat-vantage6 tapes protos protos-check clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "%-20s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/installed  ## train the demo app on two stations, through the bridge
	$(BIN)/flower-v6 run integration_tests/apps/digits --stations 2 --output demo-results \
	    --run-config 'model="demo-results/model.pt" result="demo-results/model.npz"'
	@echo "The final model is demo-results/model.pt; what happened is in demo-results/run.json."

test: unit integration  ## the tests; those that take long are the targets test-…

# They write many small files, which takes a disk a fifth of the time. So they do in memory, if it has
# room and programs may be started from there, unless TMPDIR says where.
unit coverage: export TMPDIR := $(or $(TMPDIR),$(shell grep -qs ' /dev/shm .*noexec' /proc/mounts || \
    df --output=avail /dev/shm 2>/dev/null | awk '$$1 + 0 > 1000000 {print "/dev/shm"}'))

# Many wait for processes: hence more of us than cores. With CI set they try more inputs, and all
# cases of each test.
unit: .venv-dev/installed  ## the unit tests, with some of their cases: a minute on two cores
	$(DEV)/pytest $(UNITS) $(if $(CI),,--few) --numprocesses 4 --dist worksteal

coverage: .venv-dev/installed  ## the unit tests, and what of the code they cover
	$(DEV)/pytest $(UNITS) --numprocesses 5 --dist worksteal --cov --cov-report=term:skip-covered

N ?= 10000
simulate: .venv-dev/installed  ## N simulated runs (10000), each from a seed, with all that may go wrong; 3 minutes
	$(DEV)/python -m algorithm.tests.simulation $(N)

test-simulation: .venv-dev/installed  ## that a simulation notices each of five rules, broken on purpose: five minutes
	$(DEV)/pytest algorithm/tests/simulation -m '' --numprocesses 2

kills: N = 300
kills: .venv/installed  ## SIGKILL for N processes (300 is an hour) of runs on real Flower, from a SEED; what came of it
	$(BIN)/python -m integration_tests.kills $(N) $(SEED)

kills-vantage6: N = 40
kills-vantage6: .venv/installed .venv-vantage6/installed  ## the same for N containers and nodes (40 is an hour) of a real vantage6
	$(BIN)/python -m integration_tests.kills.in_vantage6 $(N) $(SEED)

# They mostly wait, so they run side by side; those that share a stack, one by one.
integration: .venv/installed build/browser/installed $(VANTAGE6)  ## tests on real parts; on a real vantage6 where Docker runs
	$(BIN)/pytest integration_tests --numprocesses 2

lint: .venv-dev/installed protos-check  ## formatting, rules, types, generated code
	$(DEV)/ruff format --check
	$(DEV)/ruff check
	$(DEV)/mypy

format: .venv-dev/installed  ## format, and mend what can be mended
	$(DEV)/ruff format
	$(DEV)/ruff check --fix

docs: .venv-dev/installed  ## the documentation as a site, in build/site
	$(DEV)/mkdocs build --quiet --clean
	@echo "Open build/site/index.html."

test-vantage6: .venv/installed .venv-vantage6/installed .venv-vantage6-5/installed  ## all on a real vantage6: an hour
	CI=true $(BIN)/pytest integration_tests -k vantage6 -m ''

test-direct: .venv/installed  ## all of the direct mode, on five releases of Flower: 30 minutes
	$(BIN)/pytest integration_tests/test_direct.py -m ''

test-examples: .venv/installed  ## all examples, natively, bridged and in direct mode: 15 minutes
	$(BIN)/pip install --quiet $(EDITABLE) '.[test,examples]'
	$(BIN)/pytest integration_tests/test_examples.py -m ''

test-more: .venv/installed  ## thorough tests of access, apps, Grids, journals, releases, reports and results
	$(BIN)/pytest $(foreach name,access app_folder grid journal releases report results,\
	    integration_tests/test_$(name).py) -m thorough

# Besides Docker it needs docker-compose and a Prometheus.
test-compose: .venv/installed  ## compose.yml in real containers
	CI=true $(BIN)/pytest integration_tests/test_compose.py -m ''

test-lanes: .venv/installed  ## all of the lanes, and the line without the bridge: an hour and more
	$(BIN)/pytest integration_tests/test_lanes.py integration_tests/test_lanes_faults.py \
	    integration_tests/test_lanes_sealed.py integration_tests/test_lanes_apart.py \
	    integration_tests/test_direct_line.py integration_tests/test_kafka.py \
	    integration_tests/test_kafka_faults.py -m ''

benchmark: .venv/installed  ## the bridge beside native Flower, on this machine
	$(BIN)/python -m benchmarks

benchmark-vantage6: .venv/installed .venv-vantage6/installed .venv-vantage6-5/installed  ## the bridge in vantage6, beside a bare algorithm
	$(BIN)/python -m benchmarks.vantage6

benchmark-lanes: .venv/installed  ## steps over each lane, beside native Flower
	$(BIN)/python -m benchmarks.lanes

SECONDS ?= 60
fuzz: .venv/installed  ## parsers of others' bytes, for SECONDS; what breaks one is left in build/fuzz
	$(BIN)/python -c 'import atheris' 2>/dev/null || $(BIN)/pip install --quiet 'atheris>=3' || \
	    echo "atheris cannot be installed here: hypothesis mutates the inputs"
	$(BIN)/python -m integration_tests.fuzz $(SECONDS)

compat: .venv/installed  ## try out every release of Flower; some 30 minutes, and 7 GB in .venv-flwr
	mkdir -p build
	$(BIN)/flower-v6 compat --all --live --json --cache .venv-flwr > build/compatibility.json; \
	    code=$$?; test -s build/compatibility.json || exit $$code; \
	    mv build/compatibility.json docs/ && $(BIN)/python -m integration_tests.compatibility \
	    && exit $$code

compat-vantage6: .venv/installed  ## read what every release of vantage6 publishes; 2 minutes
	mkdir -p build
	$(BIN)/flower-v6 compat --vantage6 --all --json --cache .venv-flwr \
	    > build/compatibility-vantage6.json; \
	    code=$$?; test -s build/compatibility-vantage6.json || exit $$code; \
	    mv build/compatibility-vantage6.json docs/ && \
	    $(BIN)/python -m integration_tests.compatibility && exit $$code

tapes: .venv/installed  ## record native runs of RELEASES, of all that have a tape if not given
	$(BIN)/python -m integration_tests.record $(RELEASES)

protos: .venv-protos/installed  ## generate protos/*_pb2.py
	$(PROTO_BIN)/python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. protos/*.proto

protos-check: .venv-protos/installed
	rm -rf build/protos && mkdir -p build/protos
	$(PROTO_BIN)/python -m grpc_tools.protoc -I. --python_out=build --pyi_out=build protos/*.proto
	for file in build/protos/*; do diff "$$file" "protos/$${file##*/}" || exit 1; done

# PyTorch first, by its exact version: a range may bring the CUDA build.
.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet torch==2.13.0
	$(BIN)/pip install --quiet $(EDITABLE) '.[test]'
	touch $@

# Collecting the tests compiles them once; else each worker of `make unit` does, which also says what
# is wrong with them.
.venv-dev/installed: pyproject.toml
	$(PYTHON) -m venv .venv-dev
	$(DEV)/pip install --quiet $(EDITABLE) '.[docs,lint,unit]'
	$(DEV)/pytest $(UNITS) --collect-only --quiet >/dev/null || true
	touch $@

# What checks pages: axe-core for accessibility, and the W3C's validator.
build/browser/installed: integration_tests/browser/package.json .venv/installed
	mkdir -p build/browser
	cp integration_tests/browser/package.json build/browser/
	PATH="$(CURDIR)/$(BIN):$$PATH" npm install --prefix build/browser --ignore-scripts --no-audit \
	    --no-fund --silent
	touch $@

# The oldest code generator that will do: what it writes loads on every protobuf from 5.27 to 6.
# It does not go with the newer protobuf that Flower needs, hence an environment of its own.
.venv-protos/installed: Makefile
	$(PYTHON) -m venv .venv-protos
	$(PROTO_BIN)/pip install --quiet grpcio-tools==1.67.1 'setuptools<81'
	touch $@

# vantage6's own server, node and algorithm store, for tests; their pins do not go with Flower's.
# What they forget to declare: backend-common, and a WebSocket client, without which a node polls.
.venv-vantage6/installed: Makefile
	$(PYTHON) -m venv .venv-vantage6
	.venv-vantage6/bin/pip install --quiet websocket-client vantage6==4.15.2 \
	    vantage6-server==4.15.2 vantage6-backend-common==4.15.2 vantage6-node==4.15.2 \
	    vantage6-algorithm-store==4.15.2
	touch $@

# The same for vantage6 5, which wants a newer Python than Debian 12 has: an image for Docker.
.venv-vantage6-5/installed: integration_tests/vantage6_5/image.sh
	integration_tests/vantage6_5/image.sh
	mkdir -p .venv-vantage6-5
	touch $@

clean:  ## remove all environments, and what commands left
	rm -rf .venv .venv-dev .venv-flwr .venv-protos .venv-vantage6 .venv-vantage6-5 build demo-results benchmark-results
