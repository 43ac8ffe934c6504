# `make` lists the targets. Everything here runs on Linux and macOS with nothing
# installed but git, Go and make; works with GNU make 3.81, which macOS ships.

VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS  := -s -w -X clamav-sidecar/cmd/internal/build.version=$(VERSION)
FUZZTIME ?= 5m

# The tools of test/tools and test/helm/docs, built once for each of their versions and each Go.
TOOLS := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/clamav-sidecar/bin/$(shell { go version; cat test/tools/go.mod test/helm/docs/go.mod; } | cksum | cut -d' ' -f1)

.PHONY: help run test clients bench bench-webhook cluster cluster-down e2e lint build manifests images push product-images fuzz vuln clamav clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' Makefile

run: clamav ## show a Deployment before and after injection, start clamd and the sidecar here, scan files, until Ctrl-C
	go build -o bin/demo ./test/demo
	exec bin/demo

test: ## go vet, all tests with the race detector, and every fuzz target for three seconds
	test/install.sh test
	test/each-module.sh go vet ./...
	test/environment.sh test/each-module.sh go test -race -count=1 -timeout 20m ./...
	test/fuzz.sh 3s

clients: ## the tests with clamd clients from npm (installs node and npm if missing)
	test/install.sh npm
	test/clients/npm.sh

bench: clamav build bench-webhook ## measure the sidecar beside direct and other ways to scan, and the webhook (some minutes)
	go build -o bin/bench ./test/bench
	exec bin/bench

bench-webhook: build ## measure the injection beside the plain way, and the webhook under load
	go build -o bin/bench-admission ./test/bench/admission
	assets=$$(test/kube/binaries.sh) && KUBEBUILDER_ASSETS=$$assets exec bin/bench-admission

cluster: ## make a Kubernetes cluster of three nodes with kind, whether a registry can be reached or not
	test/kind/up.sh

cluster-down: ## remove that cluster, and stop the Docker engine if it was started for it
	test/kind/down.sh

e2e: cluster images ## try the whole system on that cluster: chart, webhook, sidecar, clamd, freshclam
	test/e2e/run.sh

lint: $(TOOLS)/golangci-lint ## gofmt, go vet and golangci-lint (built on first use, which takes minutes)
	@files=$$(gofmt -l .); [ -z "$$files" ] || { echo "not formatted, run gofmt -w on:" $$files >&2; exit 1; }
	test/each-module.sh go vet ./...
	test/each-module.sh $(TOOLS)/golangci-lint run --config $(CURDIR)/.golangci.yml

build: ## build static binaries into bin/
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...

images: product-images ## make the container images in dist/; no container engine or registry needed
	@if command -v apt-get >/dev/null; then \
		roots=$$(test/clamd/image.sh amd64 arm64) && bin/images test-clamd $(IMAGE) $$roots; \
	else echo 'no image of a clamd for tests: it is made of Debian packages, and this machine has no apt-get'; fi

push: ## push the images of sidecar and webhook: make push REGISTRY=registry.example/team
	@[ -n '$(REGISTRY)' ] || { echo 'where to push is missing: make push REGISTRY=registry.example/team' >&2; exit 1; }
	@$(MAKE) product-images
	bin/images push '$(REGISTRY)'

# The same commit and Go give the same digests: time and revision are those of the
# commit.
TAG ?= $(shell sed -n 's/^appVersion: *"*\([^"]*\)"*$$/\1/p' manifests/chart/clamav-sidecar/Chart.yaml)
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
IMAGE = -tag '$(TAG)' -created '$(SOURCE_DATE_EPOCH)' -revision '$(shell git describe --always --dirty --abbrev=40 --exclude='*' 2>/dev/null)'

product-images:
	for arch in amd64 arm64; do \
		CGO_ENABLED=0 GOOS=linux GOARCH=$$arch go build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)' \
			-o dist/linux-$$arch/ ./cmd/sidecar ./cmd/webhook || exit; \
	done
	go build -C manifests/images -o "$(CURDIR)/bin/images" .
	bin/images build $(IMAGE)

manifests: $(TOOLS)/helm-docs ## render manifests/install.yaml from the chart, and the table in the chart's README
	helm=$$(test/helm/binaries.sh) && manifests/render.sh $$helm/helm3
	$(TOOLS)/helm-docs --chart-search-root manifests/chart --sort-values-order file --log-level warning

fuzz: clamav ## run every fuzz target for FUZZTIME (5m)
	test/fuzz.sh $(FUZZTIME)

vuln: $(TOOLS)/govulncheck ## look for known vulnerabilities in what the code calls (needs vuln.go.dev)
	@test/each-module.sh $(TOOLS)/govulncheck ./... || { code=$$?; \
		[ $$code -eq 3 ] || echo 'make vuln: govulncheck could not look; it needs a way to https://vuln.go.dev' >&2; exit $$code; }

clamav: ## install ClamAV and its test files if they are missing
	test/install.sh run

clean: ## remove the binaries, images and built tools
	rm -rf bin dist "$(dir $(TOOLS))"

$(TOOLS)/golangci-lint:
	go build -C test/tools -o $@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

$(TOOLS)/helm-docs:
	go build -C test/helm/docs -o $@ github.com/norwoodj/helm-docs/cmd/helm-docs

$(TOOLS)/govulncheck:
	go build -C test/tools -o $@ golang.org/x/vuln/cmd/govulncheck
