//! The reads of an instance: its state, its applications, and whether a name is taken by an app of somebody else.

use serde_json::json;

use crate::{
    model::{Json, Refusal, Request},
    platform::roma_connect::{
        codes,
        list::{self, number},
    },
    provider::{Facts, Observation, Read},
};

/// Largest page of instances, and their largest offset.
const INSTANCES: usize = 100;

pub(super) use crate::platform::roma_connect::list::Apps;

/// The result of a read: an answer, `None` while answers are missing, or the refusal.
pub(super) type Reading<T> = Result<Option<T>, Refusal>;

/// Reads all applications of an instance.
pub(super) fn apps<'f>(instance: &str, observation: &mut Observation, facts: &'f Facts) -> Reading<Apps<'f>> {
    let arguments = json!({"instance_id": instance});
    let request = Request { operation: "ListRomaApp", arguments, repeatable: true };
    list::apps(&format!("the list of apps of instance {instance}"), &request, observation, facts)
}

/// Says what an instance's state is; `None` if the project has no such instance. An empty text where this identity may
/// not see instances: then the calls themselves will tell.
pub(super) fn status<'f>(instance: &str, observation: &mut Observation, facts: &'f Facts) -> Reading<Option<&'f str>> {
    let mut offset = 0;
    loop {
        let arguments = json!({"offset": offset, "limit": INSTANCES});
        let request = Request { operation: "CheckRomaInstanceListV2", arguments, repeatable: true };
        let page = match observation.read(request, facts) {
            Read::Pending => return Ok(None),
            Read::Failed(refusal) if codes::is_forbidden(refusal) => return Ok(Some(Some(""))),
            Read::Failed(refusal) => return Err(refusal.clone()),
            Read::Value(page) => page,
        };
        let rows = page["instances"].items();
        if let Some(row) = rows.iter().find(|row| row["id"] == instance) {
            return Ok(Some(Some(row["status"].as_str().unwrap_or("without a status"))));
        }
        offset += rows.len();
        if rows.is_empty() || offset >= number(&page["total"]) {
            return Ok(Some(None));
        }
        if offset > INSTANCES {
            let message = format!("{instance} is not among the first {offset} instances, and the server lists no more");
            return Err(Refusal::new(None, message));
        }
    }
}

/// Returns the application that has a name or an id, whether this identity sees it or not; `None` if there is none.
/// Where this identity may not even ask, the answer is none too: then the write will tell.
pub(super) fn validate<'f>(
    instance: &str,
    key: &str,
    value: &str,
    observation: &mut Observation,
    facts: &'f Facts,
) -> Reading<Option<&'f Json>> {
    let arguments = json!({"instance_id": instance, key: value});
    match observation.read(Request { operation: "ValidateRomaApp", arguments, repeatable: true }, facts) {
        Read::Pending => Ok(None),
        Read::Failed(refusal) if codes::is_absent(refusal) || codes::is_forbidden(refusal) => Ok(Some(None)),
        Read::Failed(refusal) => Err(refusal.clone()),
        Read::Value(app) => Ok(Some(Some(app))),
    }
}

/// Returns an application by its id; `None` if this identity does not see it.
///
/// A wrong id is refused with one of several codes, so that `validate` has to say whether there is such an application:
/// the result says it in its error.
pub(super) fn show<'f>(
    instance: &str,
    app: &str,
    observation: &mut Observation,
    facts: &'f Facts,
) -> Reading<Result<&'f Json, Missing>> {
    let arguments = json!({"instance_id": instance, "app_id": app});
    match observation.read(Request { operation: "CheckRomaAppDetails", arguments, repeatable: true }, facts) {
        Read::Pending => Ok(None),
        Read::Value(app) => Ok(Some(Ok(app))),
        Read::Failed(refusal) if codes::is_absent(refusal) => Ok(Some(Err(Missing::Gone))),
        Read::Failed(refusal) if refusal.lost || refusal.code.is_none() => Err(refusal.clone()),
        Read::Failed(refusal) => match validate(instance, "id", app, observation, facts)? {
            None => Ok(None),
            Some(None) if codes::is_forbidden(refusal) || codes::is_invalid(refusal) => Ok(Some(Err(Missing::Gone))),
            Some(Some(_)) if codes::is_forbidden(refusal) => Ok(Some(Err(Missing::Hidden))),
            Some(_) => Err(refusal.clone()),
        },
    }
}

/// Why an application is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// There is none.
    Gone,
    /// It belongs to somebody else.
    Hidden,
}
