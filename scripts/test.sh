#!/usr/bin/env bash
# Everything that must hold before a change is taken: formatting, lints, all tests (those of the database on SQLite and on a PostgreSQL of
# their own), licences. All steps run even when one fails; the last line counts tests: N passed, N failed, N skipped.
set -uo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
. scripts/postgres.sh

# cargo-deny of this version, built once into target/tools.
CARGO_DENY=0.20.2

failed_steps=()
results=$(mktemp)
trap 'stop_postgres; rm -f "$results"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# step NAME COMMAND…: runs it and prints how long it took.
step() {
    local name=$1 begin=$SECONDS
    shift
    say "== $name"
    if "$@"; then
        say "== $name: done in $((SECONDS - begin)) s"
    else
        say "== $name: FAILED after $((SECONDS - begin)) s"
        failed_steps+=("$name")
        return 1
    fi
}

# The output of test programs, kept for counting too. Tests that fail leave the others running.
tests() {
    cargo test --locked --no-fail-fast "$@" 2>&1 | tee -a "$results"
}

cargo_deny() {
    local tool=target/tools/bin/cargo-deny
    if [ "$("$tool" --version 2>/dev/null)" != "cargo-deny $CARGO_DENY" ]; then
        CARGO_PROFILE_DEV_DEBUG=0 cargo install cargo-deny --locked --version "$CARGO_DENY" --debug --force --root target/tools || return 1
    fi
    "$tool" --locked check licenses bans sources
}

# Adds up the result lines of all test programs. A program that died before its result line failed, and a step without one too.
count() {
    local passed failed skipped
    read -r passed failed skipped < <(awk '/^test result: / {
        for (i = 2; i <= NF; i++) {
            if ($i ~ /^passed/) p += $(i - 1)
            if ($i ~ /^failed/) f += $(i - 1)
            if ($i ~ /^ignored/) s += $(i - 1)
        }
    } END { print p + 0, f + 0, s + 0 }' "$results")
    if [ "$failed" = 0 ] && [[ " ${failed_steps[*]} " == *" tests "* || " ${failed_steps[*]} " == *" postgresql "* ]]; then
        failed=1
    fi
    echo "$passed passed, $failed failed, $skipped skipped"
}

step setup scripts/setup.sh || exit 1
step formatting cargo fmt --check
step lints cargo clippy --locked --all-targets -- -D warnings
step postgresql start_postgres && {
    # The calls through a real Asterisk are make test-asterisk's.
    step tests tests --tests -- --skip lab::
    step "tests in documentation" tests --doc
}
step licences cargo_deny

[ ${#failed_steps[@]} = 0 ] || say "Failed: $(printf '%s; ' "${failed_steps[@]}")"
say "Took $SECONDS s."
count
[ ${#failed_steps[@]} = 0 ]
