#!/usr/bin/env bash
# Measures, in a release build, beside a PostgreSQL that is thrown away. Arguments go to the bench.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
. scripts/postgres.sh
trap stop_postgres EXIT
cargo bench --locked --bench bench --no-run
start_postgres
HOOKFLASH_BENCH_POSTGRES=$HOOKFLASH_TEST_POSTGRES cargo bench --locked --bench bench -- "$@"
