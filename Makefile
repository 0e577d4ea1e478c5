# The commands of the README. Each installs what it needs on Debian 12 with Rust.

.DEFAULT_GOAL := help
.PHONY: help demo test check bench figures

BUILD_TOOLS := cc=gcc make=make git=git clang=clang cmake=cmake
TEST_TOOLS := $(BUILD_TOOLS) sipp=sip-tester baresip=baresip-core kamailio=kamailio \
	/usr/lib/*/kamailio/modules/tls.so=kamailio-tls-modules promtool=prometheus systemd-analyze=systemd ip=iproute2 \
	mkfs.ext4=e2fsprogs
BENCH_TOOLS := $(BUILD_TOOLS) sipp=sip-tester rtpengine=rtpengine-daemon ip=iproute2 valgrind=valgrind

help: ## what can be made
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/'

demo: ## one callback between two built-in phones, watched as it happens
	@scripts/check-host
	@scripts/install-debian $(BUILD_TOOLS)
	cargo build --release -p duogate-gateway -p duogate-control -p duogate-cli
	@target/release/duogate demo

check: ## format and lints
	@scripts/install-debian $(BUILD_TOOLS)
	cargo fmt --all --check
	cargo clippy --quiet --workspace --all-targets -- -D warnings

test: check ## format, lints, and every test, with SIPp and baresip
	@scripts/check-host
	@scripts/install-debian $(TEST_TOOLS)
	@scripts/mount-bpf
	cargo build --quiet --workspace --all-targets
	@if cargo nextest --version >/dev/null 2>&1; \
	then cargo nextest run --workspace; \
	else cargo test --workspace; fi

bench: ## the figures, beside Duogate's opponents
	@scripts/check-host
	@scripts/install-debian $(BENCH_TOOLS)
	@scripts/mount-bpf
	cargo build --release --workspace
	@target/release/rig

figures: ## the same, written into docs/ for the README
	@scripts/check-host
	@scripts/install-debian $(BENCH_TOOLS)
	@scripts/mount-bpf
	cargo build --release --workspace
	@target/release/rig --figures docs
