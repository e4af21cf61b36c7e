#!/usr/bin/env bash
# Builds the fuzz targets and runs them, each for some seconds or for some inputs:
#   fuzz/run.sh --seconds 10             # all targets
#   fuzz/run.sh --runs 1000000 plan yaml # two of them
# A stable compiler is enough: the passes that libFuzzer needs are in it. New inputs are kept in target/fuzz/corpus, those
# that fail in target/fuzz/failed.
set -euo pipefail
cd "$(dirname "$0")/.."

limit=(-max_total_time=10)
targets=()
while [ $# -gt 0 ]; do
    case $1 in
    --seconds) limit=("-max_total_time=$2"); shift 2 ;;
    --runs) limit=("-runs=$2"); shift 2 ;;
    *) targets+=("$1"); shift ;;
    esac
done
[ ${#targets[@]} -gt 0 ] || targets=(yaml manifest plan snapshot journal reply)

host=$(rustc -vV | sed -n 's/^host: //p')
coverage="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=3"
coverage+=" -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table"
coverage+=" -Cllvm-args=-sanitizer-coverage-trace-compares"
# With a target named, the flags do not reach build scripts.
RUSTFLAGS="--cfg fuzzing $coverage" cargo build --release --locked --quiet --manifest-path fuzz/Cargo.toml \
    --target "$host" --target-dir target/fuzz

run() {
    local name=$1 new=target/fuzz/corpus/$1 failed=target/fuzz/failed/$1/
    mkdir -p "$new" "$failed"
    # No input may take 10 s, 1 GiB, or one allocation of 512 MiB.
    "target/fuzz/$host/release/$name" "$new" "fuzz/corpus/$name" "${limit[@]}" -max_len=65536 -timeout=10 \
        -rss_limit_mb=1024 -malloc_limit_mb=512 -artifact_prefix="$failed" -verbosity=0 -print_final_stats=1 \
        -seed=20261122 2>"target/fuzz/$name.log" || {
        tail -40 "target/fuzz/$name.log" >&2
        echo "the fuzz target $name failed; the input is in $failed" >&2
        return 1
    }
    local count
    count=$(sed -n 's/^stat::number_of_executed_units: *//p' "target/fuzz/$name.log")
    echo "$name: $count inputs"
}

# As many at once as there are processors.
status=0
for name in "${targets[@]}"; do
    while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do wait -n || status=1; done
    run "$name" &
done
while [ -n "$(jobs -rp)" ]; do wait -n || status=1; done
exit "$status"
