#!/usr/bin/env bash
# Real calls: the tests of tests/it/lab, with an Asterisk that scripts/asterisk.sh builds when it is not there. Where this machine cannot
# have one, that is said, and the tests are counted as skipped. The last line counts: N passed, N failed, N skipped.
# HOOKFLASH_TEST_PROGRAM=target/release/hookflash has that build tested, after make release, and measured with a hundred calls a second.
set -uo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
. scripts/postgres.sh

results=$(mktemp)
trap 'stop_postgres; rm -f "$results"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
report=target/asterisk-load.txt
rm -f "$report"

# The tests there are, by their names.
names() {
    cargo test --locked --test it -- --list lab:: 2>/dev/null | grep -c '^lab::.*: test$'
}

scripts/asterisk.sh build
case $? in
0) ;;
3)
    echo "0 passed, 0 failed, $(names) skipped"
    exit 0
    ;;
*)
    say "The Asterisk could not be built."
    echo "0 passed, 1 failed, 0 skipped"
    exit 1
    ;;
esac
if ! start_postgres; then
    echo "0 passed, 1 failed, 0 skipped"
    exit 1
fi

# The load has the machine for itself.
status=0
cargo test --locked --no-fail-fast --test it -- lab:: --skip lab::load --test-threads=4 2>&1 | tee "$results" || status=1
cargo test --locked --no-fail-fast --test it -- lab::load 2>&1 | tee -a "$results" || status=1
if [ -e "$report" ]; then
    say ""
    cat "$report" >&2
fi
say "Took $SECONDS s."
awk -v status=$status '/^test result: / {
    for (i = 2; i <= NF; i++) {
        if ($i ~ /^passed/) p += $(i - 1)
        if ($i ~ /^failed/) f += $(i - 1)
        if ($i ~ /^ignored/) s += $(i - 1)
    }
} END { if (status && !f) f = 1; print p + 0 " passed, " f + 0 " failed, " s + 0 " skipped" }' "$results"
exit $status
