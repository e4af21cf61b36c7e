//! The `reconcile` program.

fn main() -> std::process::ExitCode {
    reconcile::cli::run(std::env::args_os())
}
