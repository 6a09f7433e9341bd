# Targets for developers and CI. CI runs `make test` through .ci/run.
.DEFAULT_GOAL := help
SHELL := /bin/bash

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
TOOL    := $(GO) tool -modfile=internal/tools/go.mod
FUZZTIME ?= 20s
SOAK    ?= 30m
SEED    ?= 1
PROGRAMS ?= 0
COUNT   ?= 10
PKG     ?= ./...

.PHONY: help demo build test test-python check lint bench pgo bench-peers fuzz fuzz-lua soak cover fmt package clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: build ## build the daemon, serve the shipped scripts on a free port and call them
	@bash internal/demo/demo.sh build/hearth

build: ## build the static binary build/hearth and the example plugins in build/plugins/demo
	@bash internal/ci/build.sh '$(GO)' '$(VERSION)'
	@mkdir -p build/plugins/demo
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o build/plugins/demo/ ./plugins/examples/checksum ./plugins/examples/table

test: ## everything that CI runs: format, vet, modules, cross build, Python client, tests with the race detector
	@bash internal/ci/test.sh '$(GO)'

test-python: ## only the tests of clients/python: seconds
	@bash internal/ci/test-python.sh /dev/stderr

check: ## the quick part of test: format, vet, build for other systems
	@bash internal/ci/test.sh '$(GO)' quick

lint: ## golangci-lint with .golangci.yml (the first run builds the linter, which takes minutes)
	$(TOOL) golangci-lint run $(PKG)
	cd bench && $(GO) tool -modfile=../internal/tools/go.mod golangci-lint run

bench: ## run benchmarks COUNT times each (10) and summarise them with benchstat
	@mkdir -p build
	$(GO) test -run '^$$' -bench . -benchmem -count=$(COUNT) $(PKG) | tee build/bench.txt
	$(TOOL) benchstat build/bench.txt

pgo: ## rebuild cmd/hearth/default.pgo, the profile that optimises the binary: a minute
	@bash internal/ci/pgo.sh '$(GO)'

bench-peers: build ## compare Hearth with Pyro4, Redis, gRPC and go-plugin in doc/performance.md: under 7 minutes
	@bash internal/ci/ensure-peers.sh
	CGO_ENABLED=0 $(GO) build -C bench -trimpath -o ../build/bench .
	build/bench -doc doc/performance.md -svg doc/bench-peers.svg

fuzz: ## run every fuzz target for FUZZTIME (20s) each; PKG=./wire selects one package
	@set -eo pipefail; for pkg in $$($(GO) list $(PKG)); do \
		for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			echo "== $$pkg $$f"; \
			$(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$pkg; \
		done; \
	done

fuzz-lua: ## compare the Lua engine with PUC Lua on generated programs: SEED=1 PROGRAMS=0 (0: until stopped)
	$(GO) test ./internal/luafuzz -run '^TestEndless$$' -count=1 -v -timeout 0 -endless -seed $(SEED) -programs $(PROGRAMS)

soak: ## run a host with mixed load, reloads and hostile scripts for SOAK (30m): fails if it leaks or a call fails
	$(GO) test ./cmd/hearth -run '^TestSoak$$' -count=1 -v -timeout 0 -soak $(SOAK)

cover: ## write test coverage per function and as build/cover.html
	@mkdir -p build
	$(GO) test -coverpkg=./... -coverprofile=build/cover.out ./...
	$(GO) tool cover -func=build/cover.out
	$(GO) tool cover -html=build/cover.out -o build/cover.html

fmt: ## format all Go files and group imports as the linter requires
	$(TOOL) golangci-lint fmt

package: ## build a deb and an rpm in build/ (fetches nfpm), for ARCH if it is set
	@bash internal/ci/package.sh '$(GO)'

clean: ## remove build/
	rm -rf build
