# make run    build everything, start a node, verify a specimen through its API
# make cluster  three nodes on this machine; the leader is killed
# make test   everything that CI runs
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := gatehouse
export CGO_ENABLED := 1

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0
FUZZTIME    := 30s
# Packages that are tested at one time: those of the cluster wait more than they
# compute.
ATONCE       = $(shell echo $$(( $$(nproc) + 1 )))
SOURCES      = $(shell find . -name '*.go' -not -name '*_test.go' -not -path './build/*') $(wildcard engine/picture/*.[ch]) \
               appliance/api/openapi.yaml appliance/api/api.html appliance/decide/default.json appliance/report/report.html appliance/report/style.css go.mod go.sum

# Tested with the race detector: all but what starts no goroutine of its own and is
# used by one at a time.
ALONE       := gatehouse/engine/specimen gatehouse/engine/document gatehouse/store/audit gatehouse/store/audit/index
RACED        = $(filter-out $(ALONE),$(shell go list ./engine/... ./store/... ./cluster/... ./appliance/...))

OAPI        := github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2

.PHONY: run cluster test deps assets generate lint fuzz eval bench bench-gallery bench-audit bench-cluster bench-scale chaos clean

run: gatehouse
	@sh cmd/run.sh

gatehouse: $(SOURCES) build/assets/sums.json | deps assets
	go build -trimpath -ldflags='-s -w' -o $@ ./cmd/gatehouse
	@./$@ version

build/assets/sums.json: | assets ;

# What the build needs from Debian: installed where that is allowed, else named.
deps:
	@sh cmd/deps.sh

assets: deps
	@go run ./cmd/assets

test: deps assets lint gatehouse
	go test -p $(ATONCE) ./...
	go test -p $(ATONCE) -race -short $(RACED)

# The code and the page that are written from the descriptions.
generate:
	go run ./cmd/generate/commands
	cd appliance/api && go run $(OAPI) -config codegen.yaml openapi.yaml
	go run ./cmd/generate/page

GENERATED := store/command/command.pb.go appliance/api/api.gen.go appliance/api/api.html

lint: assets
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$unformatted" ] || { echo "gofmt: $$unformatted"; exit 1; }
	go vet ./...
	go run $(STATICCHECK) ./...
	@before=$$(sha256sum $(GENERATED)); $(MAKE) --no-print-directory -s generate; \
	[ "$$before" = "$$(sha256sum $(GENERATED))" ] || { echo 'generated files were stale: look at them and commit them'; exit 1; }
	@if go run $(GOVULNCHECK) ./... >build/govulncheck.txt 2>&1; then echo 'govulncheck: nothing known'; \
	elif grep -qiE 'vulnerability database|fetching vulnerabilities|dial tcp|no such host|connection refused|forbidden' build/govulncheck.txt; then \
		echo 'govulncheck: SKIPPED, its database cannot be reached from here'; \
	else cat build/govulncheck.txt; exit 1; fi

# Every fuzz target for FUZZTIME each.
fuzz: assets
	@for pkg in $$(go list ./...); do \
		for f in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			echo "$$pkg $$f"; go test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x -parallel 2 $$pkg; \
		done; \
	done

eval: gatehouse
	go run ./cmd/eval accuracy --doc docs/accuracy.md

bench: gatehouse
	go run ./cmd/eval speed
	go run ./cmd/eval service

# The 1:N search beside FAISS, hnswlib and usearch, at 100,000 and 1,000,000 faces.
bench-gallery: gatehouse
	go run ./cmd/eval gallery

# A million events: appended, searched for, exported, verified, forwarded.
bench-audit: gatehouse
	go run ./cmd/eval audit

# Writes that three nodes agree on, beside etcd and, where it is installed, rqlite.
bench-cluster: assets
	cd cmd/eval/peers && go build -o ../../../build/bench/etcdpeer .
	go run ./cmd/eval cluster

# A million sessions with a template each: the node's restart, and another node that
# joins it with nothing. It takes an hour, and 60 GB of disk.
bench-scale: gatehouse
	go run ./cmd/eval scale

# Three nodes from nothing, by invitation; verifications at all of them; the leader
# is killed. The last line says what was lost.
cluster: gatehouse
	go run ./cmd/chaos cluster

# Kills the node at random moments, hundreds of times; then three nodes, each on a
# small machine of its own that is broken again and again (this needs root).
chaos: gatehouse
	go run ./cmd/chaos --kills 200
	go run ./cmd/chaos three --doc docs/reliability.md

clean:
	rm -rf build gatehouse
