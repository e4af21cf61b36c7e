//! The part of the objects that a command is about.

use clap::Args;

/// Which of the declared objects a command is about; all of them without a flag.
#[derive(Debug, Clone, Default, Args)]
pub(in crate::cli) struct Selection {
    /// Only documents with these labels, such as `site=sz,team!=net` or `site in (sz, bj),!retired`
    ///
    /// Conditions with commas between them, all of which have to hold: `key=value`, `key!=value`, `key in (a, b)`,
    /// `key notin (a, b)`, `key`, `!key`. Where a label is missing, `!=` and `notin` hold.
    #[arg(short = 'l', long, value_name = "SELECTOR", env = "RECONCILE_SELECTOR")]
    pub(in crate::cli) selector: Option<String>,
    /// Only these objects (`Instance/core-*`) or targets (a name without a slash); repeats
    #[arg(long, value_name = "ADDR", env = "RECONCILE_TARGET", value_delimiter = ',')]
    pub(in crate::cli) target: Vec<String>,
    /// All but these objects or targets; repeats
    #[arg(long, value_name = "ADDR", env = "RECONCILE_EXCLUDE", value_delimiter = ',')]
    pub(in crate::cli) exclude: Vec<String>,
}

impl Selection {
    /// Returns true if only a part of the objects is meant.
    pub(in crate::cli) fn is_partial(&self) -> bool {
        self.selector.is_some() || !self.target.is_empty() || !self.exclude.is_empty()
    }
}
