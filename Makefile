# What developers and machines type. Everything longer than a line is in scripts/.

.PHONY: help setup demo test test-asterisk bench fmt lint release

help:  ## shows this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup:  ## installs what building and testing need, on Debian
	scripts/setup.sh

demo:  ## runs the whole product with a simulated PBX, on a throw-away database; ARGS="--port 8081" if 8080 is taken
	cargo run -- demo $(ARGS)

test:  ## formatting, lints, every test on SQLite and PostgreSQL, licences
	scripts/test.sh

test-asterisk:  ## real calls through a real Asterisk, which is built in a folder of its own; needs root on Debian
	scripts/test-asterisk.sh

bench:  ## measures, in a release build; ARGS="--quick --only claim" for a look at one scenario
	scripts/bench.sh $(ARGS)

fmt:  ## formats the code
	cargo fmt

lint:  ## formatting and lints alone
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings

release:  ## builds target/release/hookflash
	cargo build --locked --release
