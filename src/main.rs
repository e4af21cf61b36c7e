//! The `reconcile` program.

/// Gives memory back to the system that is not used for some seconds: a pass over many objects needs much for a short time,
/// and the next one may come after hours.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    reconcile::cli::run(std::env::args_os())
}
