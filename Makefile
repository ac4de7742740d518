# make run    build everything and verify a specimen document and a selfie
# make test   everything that CI runs
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := gatehouse
export CGO_ENABLED := 1

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0
FUZZTIME    := 30s
SAMPLES     := build/assets/samples
SOURCES      = $(shell find . -name '*.go' -not -name '*_test.go' -not -path './build/*') $(wildcard engine/picture/*.[ch]) go.mod go.sum

.PHONY: run test deps assets lint fuzz eval bench clean

run: gatehouse
	@mkdir -p build/run
	./gatehouse specimen --portrait $(SAMPLES)/obama.jpg --seed 7 --camera --out build/run/passport.jpg
	@echo; echo '--- the holder'
	./gatehouse verify --document build/run/passport.jpg --selfie $(SAMPLES)/obama2.jpg
	@echo; echo '--- somebody else'
	./gatehouse verify --document build/run/passport.jpg --selfie $(SAMPLES)/biden.jpg

gatehouse: $(SOURCES) build/assets/sums.json | deps assets
	go build -trimpath -ldflags='-s -w' -o $@ ./cmd/gatehouse
	@./$@ version

build/assets/sums.json: | assets ;

# What the build needs from Debian: installed where that is allowed, else named.
deps:
	@sh cmd/deps.sh

assets: deps
	@go run ./cmd/assets

test: deps assets lint
	go test ./...
	go test -race -short ./engine/... ./appliance/...

lint: assets
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$unformatted" ] || { echo "gofmt: $$unformatted"; exit 1; }
	go vet ./...
	go run $(STATICCHECK) ./...
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

clean:
	rm -rf build gatehouse
