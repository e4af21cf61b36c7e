//! The limits of one run.

use clap::Args;

use crate::{plan::guard::Limit, platform, yaml};

/// The limits of one run.
#[derive(Debug, Args)]
pub(in crate::cli) struct SafetyArgs {
    /// Maximum changes of a kind on a target: a number, or a share such as 30% [default: 30%, or `safety.maxChanges`]
    #[arg(long, value_name = "N|P%", env = "RECONCILE_MAX_CHANGES")]
    pub(in crate::cli) max_changes: Option<Limit>,
    /// Maximum implicit deletions, those that no document declares [default: 0, or `safety.maxDeletes`]
    #[arg(long, value_name = "N|P%", env = "RECONCILE_MAX_DELETES")]
    pub(in crate::cli) max_deletes: Option<Limit>,
    /// Maximum impact of all changes of a kind on a target, such as `hosts=100`; repeats. An unknown impact exceeds any limit
    #[arg(long, value_name = "UNIT=N", env = "RECONCILE_MAX_IMPACT", value_delimiter = ',', value_parser = unit_and_limit)]
    pub(in crate::cli) max_impact: Vec<(String, u64)>,
    /// Acknowledge the plan that printed this text and apply it despite its limits
    #[arg(long, value_name = "TEXT", env = "RECONCILE_ACK")]
    pub(in crate::cli) ack: Option<String>,
}

fn unit_and_limit(text: &str) -> Result<(String, u64), String> {
    let (unit, most) = text.split_once('=').ok_or_else(|| "it is not NOUN=N".to_owned())?;
    let kinds = || platform::ALL.iter().flat_map(|platform| platform.kinds());
    let impact_units = || kinds().flat_map(|kind| kind.impact_units()).copied();
    if !impact_units().any(|known| known == unit) {
        let known: std::collections::BTreeSet<&str> = impact_units().collect();
        let known: Vec<&str> = known.into_iter().collect();
        return Err(match yaml::nearest(unit, impact_units()) {
            Some(near) => format!("no `{unit}` are counted; did you mean `{near}`?"),
            None => format!("no `{unit}` are counted; there are {}", known.join(", ")),
        });
    }
    let most = most.parse().map_err(|_| format!("`{most}` is no number"))?;
    Ok((unit.to_owned(), most))
}
