//! The last changes of association rows: their records are filed under their source, and know their association and
//! target.

use std::collections::BTreeSet;

use serde_json::json;

use crate::{
    model::{
        Action, Json,
        author::{Changed, Deed, Source},
    },
    platform::bk_cmdb::kinds::author::{self, Subject, Trail},
    provider::{Authors, Facts, Observation, Planned, Step},
};

/// The records' name of association rows.
const RESOURCE: &str = "instance_association";

/// Says who made the rows that are to go and removed those that are missing, or asks for it.
pub(super) fn changed(planned: &[Planned<'_>], facts: &Facts) -> Step<Authors> {
    let mut observation = Observation::default();
    let subject = |planned: &Planned<'_>| {
        let ends = ends(planned);
        // An end that is only to be made has no rows yet.
        Some((ends["model"].as_str()?.to_owned(), ends["source"].as_i64()?))
    };
    let sources: BTreeSet<_> = planned.iter().filter_map(subject).collect();
    let subjects = sources.iter().map(|(model, id)| Subject { resource: RESOURCE, model, id: *id }).collect();
    let Some(trails) = author::trails(&subjects, &mut observation, facts) else {
        return Step::Ask(observation.ask);
    };
    let mut authors = Authors::default();
    for item in planned {
        let told = match subject(item) {
            Some((model, id)) => last_change(item, &trails[&Subject { resource: RESOURCE, model: &model, id }], facts),
            None => Some(Changed { deed: Deed::Never, ..Changed::unknown() }),
        };
        authors.known.push((item.desired.id.clone(), None, told.unwrap_or_else(Changed::unknown)));
    }
    Step::Done(authors)
}

fn ends<'p>(planned: &Planned<'p>) -> &'p Json {
    planned.live.map_or(planned.context.handle(), |live| &live.handle)
}

fn last_change(planned: &Planned<'_>, trail: &Trail<'_>, facts: &Facts) -> Option<Changed> {
    let ends = ends(planned);
    let association = planned.desired.locate("association")?;
    let is_about = |record: &&&Json| {
        let detail = &record["operation_detail"];
        detail["asst_id"] == *association
            && detail["src_obj_id"] == ends["model"]
            && detail["dest_inst_id"] == ends["target"]
    };
    let records = trail.as_ref()?;
    match (planned.change.action, records.latest.iter().find(is_about)) {
        (Action::Create, None) if records.whole => {
            Some(Changed { deed: Deed::Never, source: Source::Audit, ..Changed::unknown() })
        }
        (Action::Create, Some(record)) if record["action"] == json!("delete") => {
            Some(author::change_of(record, Deed::Removed, facts))
        }
        (Action::Delete, Some(record)) if record["action"] == json!("create") => {
            Some(author::change_of(record, Deed::Made, facts))
        }
        _ => None,
    }
}
