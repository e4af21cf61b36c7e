//! The reads of an instance: its state, its applications, and whether a name is taken by an app of somebody else.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    model::{Refusal, Request},
    platform::roma_connect::{
        api,
        list::{Walk, offsets_behind},
    },
    provider::{Facts, Observation, Read},
};

/// Largest page of applications.
const PAGE: usize = 500;
/// Largest page of instances, and their largest offset.
const INSTANCES: usize = 100;
/// How often a list that moves while it is read is read.
const ROUNDS: usize = 5;

/// Applications by their ids.
pub(super) type Apps<'f> = BTreeMap<&'f str, &'f Value>;

/// The result of a read: an answer, `None` while answers are missing, or the refusal.
pub(super) type Reading<T> = Result<Option<T>, Refusal>;

/// Reads all applications of an instance.
///
/// Favourites come first, so that rows move between pages when somebody marks one. So the list is read again where its
/// `total` moved or the distinct ids do not come to it; what was seen before counts as long as `total` stays.
pub(super) fn apps<'f>(instance: &str, observation: &mut Observation, facts: &'f Facts) -> Reading<Apps<'f>> {
    let (mut apps, mut last) = (Apps::new(), None);
    for round in 0..ROUNDS {
        let (mut walk, mut moved) = (Walk::default(), false);
        loop {
            let page = match observation.read(page(instance, round, walk.offset), facts) {
                Read::Pending => return Ok(None),
                Read::Failed(refusal) => return Err(refusal.clone()),
                Read::Value(page) => page,
            };
            let rows = page["apps"].as_array().map(Vec::as_slice).unwrap_or_default();
            let total = number(&page["total"]);
            for offset in offsets_behind(walk.offset, rows, PAGE, total) {
                observation.read(self::page(instance, round, offset), facts);
            }
            if last.replace(total).is_some_and(|last| last != total) {
                moved = true;
                apps.clear();
            }
            apps.extend(rows.iter().filter_map(|app| Some((app["id"].as_str()?, app))));
            if moved && walk.offset > 0 || !walk.goes_on(rows, total)? || apps.len() >= total {
                break;
            }
        }
        if !moved && last == Some(apps.len()) {
            return Ok(Some(apps));
        }
    }
    Err(Refusal::new(None, format!("the list of apps of instance {instance} moved each of {ROUNDS} times it was read")))
}

/// Returns the request for a page of the applications of an instance, in one of several rounds of reading the list.
fn page(instance: &str, round: usize, offset: usize) -> Request {
    let mut arguments = json!({"instance_id": instance, "offset": offset, "limit": PAGE});
    if round > 0 {
        // No part of the call: without it, the answer would be that of the first time.
        arguments["again"] = json!(round);
    }
    Request { operation: "ListRomaApp", arguments, repeatable: true }
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
            Read::Failed(refusal) if api::is_forbidden(refusal) => return Ok(Some(Some(""))),
            Read::Failed(refusal) => return Err(refusal.clone()),
            Read::Value(page) => page,
        };
        let rows = page["instances"].as_array().map(Vec::as_slice).unwrap_or_default();
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

fn number(value: &Value) -> usize {
    value.as_u64().and_then(|total| usize::try_from(total).ok()).unwrap_or(0)
}

/// Returns the application that has a name or an id, whether this identity sees it or not; `None` if there is none.
/// Where this identity may not even ask, the answer is none too: then the write will tell.
pub(super) fn validate<'f>(
    instance: &str,
    key: &str,
    value: &str,
    observation: &mut Observation,
    facts: &'f Facts,
) -> Reading<Option<&'f Value>> {
    let arguments = json!({"instance_id": instance, key: value});
    match observation.read(Request { operation: "ValidateRomaApp", arguments, repeatable: true }, facts) {
        Read::Pending => Ok(None),
        Read::Failed(refusal) if api::is_absent(refusal) || api::is_forbidden(refusal) => Ok(Some(None)),
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
) -> Reading<Result<&'f Value, Missing>> {
    let arguments = json!({"instance_id": instance, "app_id": app});
    match observation.read(Request { operation: "CheckRomaAppDetails", arguments, repeatable: true }, facts) {
        Read::Pending => Ok(None),
        Read::Value(app) => Ok(Some(Ok(app))),
        Read::Failed(refusal) if api::is_absent(refusal) => Ok(Some(Err(Missing::Gone))),
        Read::Failed(refusal) if refusal.lost || refusal.code.is_none() => Err(refusal.clone()),
        Read::Failed(refusal) => match validate(instance, "id", app, observation, facts)? {
            None => Ok(None),
            Some(None) if api::is_forbidden(refusal) || api::is_invalid(refusal) => Ok(Some(Err(Missing::Gone))),
            Some(Some(_)) if api::is_forbidden(refusal) => Ok(Some(Err(Missing::Hidden))),
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

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;
    use crate::provider::Freshness;

    /// Answers what is asked with pages of (total, ids) until there is a list or a refusal.
    fn check(pages: &[(usize, &[&str])], expected: &str) {
        let mut facts = Facts::new(Freshness::Replica, HashMap::new());
        let mut pages = pages.iter();
        let told = loop {
            let mut observation = Observation::default();
            match apps("i1", &mut observation, &facts) {
                Ok(Some(apps)) => break apps.into_keys().collect::<Vec<_>>().join(" "),
                Err(refusal) => break refusal.to_string(),
                Ok(None) => {}
            }
            let (total, ids) = pages.next().expect("no more is asked");
            let rows: Vec<_> = ids.iter().map(|id| json!({"id": id})).collect();
            for request in observation.ask {
                facts.learn(request, Ok(json!({"total": total, "apps": rows})));
            }
        };
        assert_eq!((told.as_str(), pages.count()), (expected, 0));
    }

    #[test]
    fn the_pages_behind_the_first_are_asked_for_together() {
        let mut facts = Facts::new(Freshness::Replica, HashMap::new());
        let mut rounds = Vec::new();
        let found = loop {
            let mut observation = Observation::default();
            if let Some(apps) = apps("i1", &mut observation, &facts).expect("it is a list") {
                break apps.len();
            }
            let asked: HashSet<Request> = observation.ask.into_iter().collect();
            rounds.push(asked.len());
            for request in asked {
                let offset = number(&request.arguments["offset"]);
                let ids = offset..(offset + PAGE).min(1_700);
                let rows: Vec<_> = ids.map(|id| json!({"id": id.to_string()})).collect();
                facts.learn(request, Ok(json!({"total": 1_700, "apps": rows})));
            }
        };
        assert_eq!((rounds, found), (vec![1, 3], 1_700));
    }

    #[test]
    fn lists_are_read_until_they_hold_still() {
        check(&[(2, &["a", "b"])], "a b");
        check(&[(0, &[])], "");
        check(&[(3, &["a", "b"]), (3, &["c"])], "a b c");
        // A favourite moved `b` to the next page and `c` to the one before.
        check(&[(3, &["a", "b"]), (3, &["b"]), (3, &["a", "c"])], "a b c");
        // One more came in between.
        check(&[(3, &["a", "b"]), (4, &["c", "d"]), (4, &["a", "b", "c", "d"])], "a b c d");
        // The server says that there are more than it shows.
        let short: &[(usize, &[&str])] = &[(3, &["a", "b"]), (3, &[])];
        check(&short.repeat(5), "the list of apps of instance i1 moved each of 5 times it was read");
    }
}
