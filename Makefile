# The two commands of the README are `make run` and `make test`; `make help` lists the rest.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

HOST := $(shell rustc -vV | sed -n 's/^host: //p')
JOBS ?= 2
PYTHON := .tools/ministack/bin/python
SAM := .tools/sam/bin
# cargo-lambda looks for its helpers here; plain cargo is its compiler for what runs on this machine.
export PATH := $(CURDIR)/$(SAM):$(PATH)
export CARGO_LAMBDA_COMPILER := cargo
export SAM_CLI_TELEMETRY := 0
# Toolchain parts come from what is installed; nothing may be fetched on the way.
export RUSTUP_DIST_SERVER := http://127.0.0.1:9
export PYTHONDONTWRITEBYTECODE := 1

.PHONY: help run demo stop test check fuzz fuzz-api mails tools binaries fmt lint build deploy bench bench-invocation bench-migration startup clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

run: tools binaries ## Set up, build, start the local stack, play the story, leave it running
	@$(PYTHON) local/stack.py up

demo: ## Play the story again on the running stack, with a new user
	@$(PYTHON) local/stack.py demo

stop: ## Stop what `make run` started
	@$(PYTHON) local/stack.py down

test: tools binaries ## Set up and run every test, the deployed stack included
	@cargo build -j$(JOBS) --target $(HOST) --workspace --all-targets
	@$(PYTHON) local/stack.py exec cargo test -j$(JOBS) --target $(HOST) --workspace

check: tools binaries ## The checker at length: 200,000 operations under faults, a million rows (an hour)
	@cargo build -j$(JOBS) --target $(HOST) --workspace --all-targets
	@GATEHOUSE_USERS=100000 cargo test -q --target $(HOST) -p custom-message
	@GATEHOUSE_INTERLEAVINGS=2000000 cargo test -q --target $(HOST) -p auth-dynamodb
	@GATEHOUSE_OPERATIONS=200000 GATEHOUSE_ROWS=1000000 $(PYTHON) local/stack.py exec \
	  cargo test --target $(HOST) -p auth-tests --test it -- checker --nocapture --test-threads 1 \
	  2> .local/check.log

fuzz: ## Changed inputs at random, FUZZ_SECONDS (600) for each of tokens, claims, keys, events, messages, hashes
	@cargo build -q -j$(JOBS) --target $(HOST) -p auth-tests --tests
	@GATEHOUSE_FUZZ_SECONDS=$${FUZZ_SECONDS:-600} cargo test -q --target $(HOST) -p auth-tests --test it -- \
	  fuzz:: --nocapture

fuzz-api: tools binaries ## Schemathesis over the deployed API: no 5xx, no answer that openapi.yaml doesn't promise
	@local/venv .tools/schemathesis local/schemathesis.txt
	@$(PYTHON) local/stack.py exec $(PYTHON) local/fuzz.py

mails: ## Render every mail in every language into .local/mails, to look at
	@cargo run -q -j$(JOBS) --target $(HOST) -p gatehouse -- mails .local/mails

tools:
	@local/venv .tools/ministack local/ministack.txt
	@local/venv .tools/sam local/sam.txt
	@local/venv .tools/postgres local/postgres.txt
	@local/venv .tools/dynamodb local/dynamodb.txt
	@cd tests/dynamodb && [[ -d node_modules ]] || npm ci --silent --no-audit --no-fund --ignore-scripts
	@cd tests/browser && [[ -d node_modules ]] || npm ci --silent --no-audit --no-fund

binaries:
	@[[ -d target/lambda ]] || echo "Building the functions (the first time: five minutes or so) ..."
	@cargo lambda build -j$(JOBS) --workspace --skip-target-check

fmt: ## Format the sources
	@cargo fmt

lint: tools ## Everything that .ci/run checks besides the tests
	@local/lint

build: tools ## Build the functions for Lambda, as `sam deploy` takes them (release: minutes)
	@CARGO_LAMBDA_COMPILER= sam build

deploy: build ## Deploy to the AWS account of your shell, with questions
	@sam deploy --guided

bench: ## What a decision costs, beside the bare RSA check and aws-jwt-verify (release: minutes)
	@cd benches/peers/aws-jwt-verify && [[ -d node_modules ]] || npm ci --silent --no-audit --no-fund
	@cargo build -q -j$(JOBS) --release --target $(HOST) -p benches --bin allocations
	@cargo run -q -j$(JOBS) --release --target $(HOST) -p benches --bin hot_path
	@cargo run -q -j$(JOBS) --release --target $(HOST) -p benches --bin render

bench-invocation: ## A whole invocation and a cold start, beside an authorizer for Node (release: minutes)
	@cd benches/peers/node-authorizer && { [[ -d node_modules ]] || npm ci --silent --no-audit --no-fund; } && npm run --silent build
	@cargo build -q -j$(JOBS) --release --target $(HOST) -p authorizer --bin authorizer
	@GATEHOUSE_BIN_DIR=$${CARGO_TARGET_DIR:-$(CURDIR)/target}/$(HOST)/release cargo run -q -j$(JOBS) --target $(HOST) -p benches --bin invocation

bench-migration: tools binaries ## Move 10,000 users from PostgreSQL; can refusals be told by time? (release)
	@cargo build -q -j$(JOBS) --release --target $(HOST) -p migrate-user -p auth-api
	@cargo build -q -j$(JOBS) --target $(HOST) -p benches --bins
	@cd $${CARGO_TARGET_DIR:-$(CURDIR)/target}/$(HOST) && GATEHOUSE_BIN_DIR=$$PWD/release \
	  $(CURDIR)/$(PYTHON) $(CURDIR)/local/stack.py exec sh -c 'debug/migration && debug/refusals'

startup: ## Measure the release binaries: size, start, memory (compiles for minutes)
	@for name in $(notdir $(wildcard functions/*)); do \
	  cargo build -j$(JOBS) --release --target $(HOST) --manifest-path functions/$$name/Cargo.toml; done
	@GATEHOUSE_BIN_DIR=$${CARGO_TARGET_DIR:-$(CURDIR)/target}/$(HOST)/release cargo run -q -j$(JOBS) --target $(HOST) -p benches --bin startup

clean: stop ## Remove what was built and installed here
	@rm -rf target .tools .local .aws-sam
