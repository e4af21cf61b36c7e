//! `reconcile watch`.

use super::{args::WatchArgs, exit, view::Screen};

/// Runs until a signal comes.
pub(super) async fn run(_args: &WatchArgs, screen: &Screen) -> u8 {
    std::future::ready(()).await;
    screen.error("`watch` is not part of this build yet");
    exit::ERROR
}
