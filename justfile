# One name for each chore.

# All that has to pass.
check: fmt clippy test doc

fmt:
    cargo fmt --all --check

clippy:
    cargo clippy --workspace --all-targets --locked -- -D warnings
    cargo clippy --manifest-path fuzz/Cargo.toml --target-dir target/fuzz --locked -- -D warnings

test:
    cargo test --workspace --locked

doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

# The main job on the embedded sandbox.
demo:
    cargo run --release -- apply examples/manifests --sandbox --auto-approve

# A binary that needs no glibc, for older hosts: it takes the target `x86_64-unknown-linux-musl` of rustup and `musl-gcc`.
static:
    cargo build --release --locked --features jemalloc --bin reconcile --target x86_64-unknown-linux-musl

# All that a release consists of, in target/dist: `just dist --key ~/.minisign/minisign.key`, or `just dist --unsigned`.
dist *flags:
    packaging/dist.sh {{flags}}

# The documentation as HTML, in target/book: `cargo install mdbook --no-default-features --locked` brings mdbook.
book:
    mdbook build docs

# Writes the outputs in the documentation and the picture of the README anew.
pictures:
    UPDATE_DOCS=1 cargo test --locked --test it docs

# Long runs of the property tests, and tests on the real clock.
long:
    PROPTEST_CASES=100000 RECONCILE_MUTATIONS=1000 cargo test --workspace --release --locked
    cargo test --workspace --release --locked -- --ignored
    just plans

# What is promised of plans, in full: snapshots, a second writer, acknowledgements, reports.
plans:
    SNAPSHOT_CASES=1000 cargo test --release --locked --test it snapshot_property
    RECONCILE_RUNS=10000 cargo test --release --locked --test it second_writer -- --nocapture
    PROPTEST_CASES=10000 cargo test --release --locked --test it acknowledgement
    RECONCILE_CHANGES=5000 cargo test --release --locked --test it budgets

# Rehearsals in full: many schedules, a kill at each moment, each planted mistake (test builds alone have those).
rehearsals:
    RECONCILE_SEEDS=10000 RECONCILE_KILL_STEP=1 cargo test --release --locked --test it rehearse -- --nocapture
    RECONCILE_PLANTED_STEP=1 cargo test --locked --test it rehearse::each_planted -- --nocapture

# The program against the floor, the same work with the fewest calls: by hand, on a machine that does nothing else.
bench *flags:
    cargo build --release --locked
    benches/run.py --check {{flags}}

# How fast a running `watch` answers saves and edits, and what it takes at rest.
bench-watch *flags:
    cargo build --release --locked
    benches/watch.py bench --sizes 1000,10000,100000 --check {{flags}}

# Wears a running `watch` out: edits, saves, faults and kills at random, for half an hour.
soak *flags:
    cargo build --release --locked
    benches/watch.py soak {{flags}}

# Takes the baseline of instruction counts anew: behind a change that is meant to cost more, or that costs less.
instructions:
    cargo build --release --locked
    benches/instructions.py --write

# Events that are lost, repeated or out of order, and cursors that expire: schedules by seeds, on a paused clock.
events seeds="1000":
    EVENT_SEEDS={{seeds}} cargo test --locked --lib whatever_becomes_of_events

# The tables and plots of the documentation, from benches/results/latest.json.
performance:
    benches/report.py

# How fast the sandbox is.
bench-sandbox:
    cargo bench --locked

# `kill -9` at 300 moments of an apply, with the resume behind it.
killed seeds="300":
    KILLED_SEEDS={{seeds}} cargo test --release --locked --test it killed

# `kill -9` at each boundary of a small roll-out, with and without the resume behind it.
killed-roll-out:
    cargo test --locked --test it killed_at_each_boundary -- --ignored

# The readers of what others wrote, with so many inputs each: `just fuzz`, `just fuzz 50000000 yaml plan`.
fuzz runs="1000000" *targets:
    fuzz/run.sh --runs {{runs}} {{targets}}

deny:
    cargo deny check
