# Everything a person runs here.  `make` lists it.  Each target makes the virtual environment it
# needs; settings are given as `make cluster SHARDS=2 ENGINE=process`.

SHARDS   ?=
REPLICAS ?=
ENGINE   ?= auto
NAME     ?= dev
SUBNET   ?=
PORT     ?=
FRESH    ?=
SEEDS    ?= 5000
DAY      ?=
NODE     ?= alice
PYTHON   ?= python3

VENV    := .venv
STAMP   := $(VENV)/.installed
RUN     := $(VENV)/bin/python -m
COTERIE := $(RUN) cluster

.DEFAULT_GOAL := help
.PHONY: help venv cluster view down clean status logs image sbom doctor demo test check contracts format bench bench-move rewrite soak

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-11s %s\n", $$1, $$2 }'

venv: $(STAMP) ## make the virtual environment

# The last step is for shells that forbid Python to keep what it compiles: without it, every start of
# a node would compile all of the node's modules again.
$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo 'make: $(PYTHON) is older than 3.11; name a newer one: make PYTHON=python3.11' >&2; exit 1; }
	@test -x $(VENV)/bin/pip || { $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo 'make: this Python cannot make virtual environments; on Debian: apt-get install python3-venv' >&2; exit 1; }; \
	  $(PYTHON) -m venv $(VENV); }
	@echo 'installing what pyproject.toml names into $(VENV)' >&2
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check -e '.[cluster,test]'
	@$(VENV)/bin/python -m compileall -q node
	@touch $@

cluster: $(STAMP) ## start a cluster: SHARDS=2 REPLICAS=3 ENGINE=auto|docker|process NAME=dev SUBNET= PORT= FRESH=
	@$(COTERIE) up --name $(NAME) --engine $(ENGINE) $(if $(SHARDS),--shards $(SHARDS)) \
	  $(if $(REPLICAS),--replicas $(REPLICAS)) $(if $(SUBNET),--subnet $(SUBNET)) \
	  $(if $(PORT),--port $(PORT)) $(if $(FRESH),--fresh)

view: $(STAMP) ## change the number of shards while the cluster runs: SHARDS=3 NAME=dev
	@test -n '$(SHARDS)' || { echo 'make: how many shards? make view SHARDS=3' >&2; exit 2; }
	@$(COTERIE) view commit --shards $(SHARDS) --yes --name $(NAME)
	@$(COTERIE) view watch --name $(NAME)

down: $(STAMP) ## stop the cluster, keep its data: NAME=dev
	@$(COTERIE) down --name $(NAME)

clean: $(STAMP) ## stop the cluster and remove its data: NAME=dev
	@$(COTERIE) clean --name $(NAME) --yes

status: $(STAMP) ## show what every node is doing: NAME=dev
	@$(COTERIE) status --name $(NAME)

logs: $(STAMP) ## show a node's last lines: NODE=alice NAME=dev
	@$(COTERIE) logs $(NODE) --name $(NAME) --tail 100

image: $(STAMP) ## build the node image coterie:dev
	@$(COTERIE) image

sbom: $(STAMP) ## write what is in the node image to sbom.json, as CycloneDX
	@$(COTERIE) deploy sbom > sbom.json.new && mv sbom.json.new sbom.json || { rm -f sbom.json.new; exit 1; }

doctor: $(STAMP) ## check whether a cluster can be started here
	@$(COTERIE) doctor

demo: $(STAMP) ## tell two stories of causality on a fresh cluster of three nodes, and remove it: ENGINE=
	@$(COTERIE) up --name demo --engine $(ENGINE) --shards 1 --replicas 3 --fresh --env DIALECT=causal
	@. ./.cluster/demo/env; $(RUN) coterie.demo causal && $(RUN) coterie.demo order; \
	  said=$$?; $(COTERIE) clean --name demo --yes; exit $$said

# Some shells forbid Python to keep what it compiles.  The tests keep it: otherwise each of pytest's
# processes rewrites all tests again, and each node and each command is compiled at its start.
test check: export PYTHONDONTWRITEBYTECODE :=

test: $(STAMP) ## format, lint, types, and every test (with Docker where an engine answers)
	$(RUN) ruff format --check .
	$(RUN) ruff check .
	$(RUN) mypy
	$(RUN) pytest -n 4 --dist loadgroup -m 'not alone'
	$(RUN) pytest -n 2 --dist loadgroup -m alone

check: $(STAMP) ## the same with the fast tests only: under a minute
	$(RUN) ruff format --check .
	$(RUN) ruff check .
	$(RUN) mypy
	$(RUN) pytest -n 2 --dist loadgroup -m 'not slow and not alone'

soak: $(STAMP) ## play new seeds of the simulator, on all cores: SEEDS=5000 DAY=2026-11-29
	$(RUN) cluster.simulator.soak --seeds $(SEEDS) $(if $(DAY),--day $(DAY))

contracts: $(STAMP) ## the tests of every HTTP contract, and a table: contract, passed/total
	$(RUN) tests.contract_table

format: $(STAMP) ## put the code in form
	$(RUN) ruff format .
	$(RUN) ruff check --fix .

bench: $(STAMP) ## measure against a bare server, in one run
	$(RUN) cluster.benchmarks.requests

bench-move: $(STAMP) ## measure what a view change costs the clients, and how fast keys move
	$(RUN) cluster.benchmarks.resharding

rewrite: $(STAMP) ## accept what the golden conversations and examples say now; read the diff
	$(RUN) tests.conversations --rewrite
	$(RUN) tests.examples --rewrite
