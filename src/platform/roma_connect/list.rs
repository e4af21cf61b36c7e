//! The list of applications, however a server pages.

use std::collections::{BTreeMap, HashSet};

use serde_json::json;

use crate::{
    model::{Json, Refusal, Request},
    provider::{Facts, Observation, Read},
};

/// Largest page of applications.
const PAGE: usize = 500;
/// How often a list that moves while it is read is read.
const ROUNDS: usize = 5;
/// Most applications of one list.
const MOST: usize = 100_000;

/// Pages that are asked for together. A list that moves is begun anew, so that not all of a long one is read in vain.
const TOGETHER: usize = 40;

/// Applications by their ids.
pub(super) type Apps<'f> = BTreeMap<&'f str, &'f Json>;

/// Reads all applications of an instance by the request that lists them, without its page; `None` while answers are
/// missing. `list` names it in errors.
///
/// Favourites come first, so that rows move between pages when somebody marks one (contract section 2.1). So the list is
/// read again where its `total` moved or the distinct ids do not come to it; rows seen before count as long as `total`
/// stays.
pub(super) fn apps<'f>(
    list: &str,
    request: &Request,
    observation: &mut Observation,
    facts: &'f Facts,
) -> Result<Option<Apps<'f>>, Refusal> {
    let (mut apps, mut last) = (Apps::new(), None);
    for round in 0..ROUNDS {
        let (mut walk, mut moved) = (Walk::default(), false);
        loop {
            let answer = match observation.read(page(request, round, walk.offset), facts) {
                Read::Pending => return Ok(None),
                Read::Failed(refusal) => return Err(refusal.clone()),
                Read::Value(answer) => answer,
            };
            let rows = answer["apps"].items();
            let total = number(&answer["total"]);
            for offset in offsets_behind(walk.offset, rows, total) {
                observation.read(page(request, round, offset), facts);
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
    Err(Refusal::new(None, format!("{list} moved each of {ROUNDS} times it was read")))
}

/// Returns the request for a page, in one of several rounds of reading the list.
fn page(request: &Request, round: usize, offset: usize) -> Request {
    let mut request = request.clone();
    request.arguments["offset"] = json!(offset);
    request.arguments["limit"] = json!(PAGE);
    if round > 0 {
        // No part of the call: without it, the answer would be that of the first time.
        request.arguments["again"] = json!(round);
    }
    request
}

/// Returns a count of an answer; 0 for one that is none.
pub(super) fn number(value: &Json) -> usize {
    value.as_u64().and_then(|total| usize::try_from(total).ok()).unwrap_or(0)
}

/// Returns where the pages behind a full one begin that are asked for together with it: one after another, each would
/// cost a way to the server and back.
fn offsets_behind(offset: usize, page: &[Json], total: usize) -> impl Iterator<Item = usize> + use<> {
    let is_first = offset.is_multiple_of(TOGETHER * PAGE) && page.len() == PAGE && total <= MOST;
    let end = if is_first { total.min(offset + (TOGETHER + 1) * PAGE) } else { 0 };
    (offset + PAGE..end).step_by(PAGE)
}

/// One reading of a list, from its first page.
#[derive(Default)]
struct Walk<'f> {
    seen: HashSet<&'f str>,
    /// Where the next page begins.
    offset: usize,
}

impl<'f> Walk<'f> {
    /// Takes a page and returns true if another may bring more. None follows behind the server's own total, or behind a
    /// page that brought nothing new, as that of a server that ignores the offset.
    fn goes_on(&mut self, rows: &'f [Json], total: usize) -> Result<bool, Refusal> {
        self.offset += rows.len();
        let before = self.seen.len();
        self.seen.extend(rows.iter().filter_map(|app| app["id"].as_str()));
        if total.max(self.offset) > MOST {
            let message =
                format!("the server lists {} apps, more than {MOST}: the list is not read", total.max(self.offset));
            return Err(Refusal::new(None, message));
        }
        Ok(self.seen.len() > before && self.offset < total)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;
    use crate::provider::Freshness;

    fn list<'f>(observation: &mut Observation, facts: &'f Facts) -> Result<Option<Apps<'f>>, Refusal> {
        let request = Request { operation: "ListRomaApp", arguments: json!({"instance_id": "i1"}), repeatable: true };
        apps("the list of apps of instance i1", &request, observation, facts)
    }

    /// Answers what is asked with pages of (total, ids) until there is a list or a refusal.
    fn check(pages: &[(usize, &[&str])], expected: &str) {
        let mut facts = Facts::new(Freshness::Replica, HashMap::new());
        let mut pages = pages.iter();
        let told = loop {
            let mut observation = Observation::default();
            match list(&mut observation, &facts) {
                Ok(Some(apps)) => break apps.into_keys().collect::<Vec<_>>().join(" "),
                Err(refusal) => break refusal.to_string(),
                Ok(None) => {}
            }
            let (total, ids) = pages.next().expect("no more is asked");
            let rows: Vec<_> = ids.iter().map(|id| json!({"id": id})).collect();
            for request in observation.ask {
                facts.learn(request, Ok(json!({"total": total, "apps": rows}).into()));
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
            if let Some(apps) = list(&mut observation, &facts).expect("it is a list") {
                break apps.len();
            }
            let asked: HashSet<Request> = observation.ask.into_iter().collect();
            rounds.push(asked.len());
            for request in asked {
                let offset = number(&(&request.arguments["offset"]).into());
                let ids = offset..(offset + PAGE).min(1_700);
                let rows: Vec<_> = ids.map(|id| json!({"id": id.to_string()})).collect();
                facts.learn(request, Ok(json!({"total": 1_700, "apps": rows}).into()));
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
