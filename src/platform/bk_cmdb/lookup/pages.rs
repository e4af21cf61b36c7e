//! Lists that come in pages.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{LookupError, check_count, check_page, read_rows};
use crate::{
    model::{Json, Request},
    provider::{Facts, Observation, Read},
};

/// A list of which every page tells how many rows it has in all.
pub(in crate::platform::bk_cmdb) struct Counted<'a> {
    /// The request for a page, as the server calls it.
    pub(in crate::platform::bk_cmdb) request: &'a dyn Fn(Value) -> Request,
    /// Where the rows lie in an answer.
    pub(in crate::platform::bk_cmdb) list: &'static str,
    /// Its field that pages go by, or several with commas; none where the server takes none.
    pub(in crate::platform::bk_cmdb) sort: Option<&'static str>,
    /// Most rows of one page.
    pub(in crate::platform::bk_cmdb) limit: usize,
}

impl<'f> Counted<'_> {
    /// Reads all rows: the first page, then all the others at once. `key` tells one row from another; an error says so
    /// if rows moved between the pages meanwhile.
    pub(in crate::platform::bk_cmdb) fn all<K: Ord>(
        &self,
        key: impl Fn(&Json) -> K,
        observation: &mut Observation,
        facts: &'f Facts,
    ) -> Result<Vec<&'f Json>, LookupError> {
        let first = self.first(self.limit, observation, facts)?;
        self.rest(first, key, observation, facts)
    }

    /// Reads the first page: its rows, and how many there are in all.
    pub(in crate::platform::bk_cmdb) fn first(
        &self,
        limit: usize,
        observation: &mut Observation,
        facts: &'f Facts,
    ) -> Result<(Vec<&'f Json>, usize), LookupError> {
        self.page(0, limit, observation, facts)
    }

    /// Reads what is behind the first page, as [`Self::all`] does.
    pub(in crate::platform::bk_cmdb) fn rest<K: Ord>(
        &self,
        (mut rows, count): (Vec<&'f Json>, usize),
        key: impl Fn(&Json) -> K,
        observation: &mut Observation,
        facts: &'f Facts,
    ) -> Result<Vec<&'f Json>, LookupError> {
        check_count(count).map_err(LookupError::Failed)?;
        let mut error = None;
        for start in (self.limit..count).step_by(self.limit) {
            match self.page(start, self.limit, observation, facts) {
                Ok((more, _)) => rows.extend(more),
                Err(found) => error = worse(error, found),
            }
        }
        if let Some(error) = error {
            return Err(error);
        }
        let distinct: BTreeSet<K> = rows.iter().map(|row| key(row)).collect();
        if distinct.len() == count { Ok(rows) } else { Err(LookupError::Failed("the rows moved meanwhile".to_owned())) }
    }

    fn page(
        &self,
        start: usize,
        limit: usize,
        observation: &mut Observation,
        facts: &'f Facts,
    ) -> Result<(Vec<&'f Json>, usize), LookupError> {
        let mut page = json!({"start": start, "limit": limit});
        if let Some(sort) = self.sort {
            page["sort"] = json!(sort);
        }
        match observation.read((self.request)(page), facts) {
            Read::Pending => Err(LookupError::Pending),
            Read::Failed(refusal) => Err(LookupError::Failed(refusal.to_string())),
            Read::Value(data) => {
                let count = data["count"].as_u64().and_then(|count| usize::try_from(count).ok());
                let count = count.ok_or_else(|| LookupError::Failed("the answer has no count".to_owned()))?;
                Ok((data[self.list].items().iter().collect(), count))
            }
        }
    }
}

/// Reads all rows of a list that tells no number: page by page up to one that is not full. `request` returns the one for
/// the page at a start.
pub(in crate::platform::bk_cmdb) fn until_short<'f>(
    limit: usize,
    request: impl Fn(usize) -> Request,
    observation: &mut Observation,
    facts: &'f Facts,
) -> Result<Vec<&'f Json>, LookupError> {
    let mut all = Vec::new();
    loop {
        let rows = read_rows(request(all.len()), "info", observation, facts)?;
        let is_last = rows.len() < limit;
        check_page(&all, &rows)?;
        all.extend(rows);
        if is_last {
            return Ok(all);
        }
    }
}

/// Returns the worse of two errors: a failed read outweighs one that is only pending.
pub(in crate::platform::bk_cmdb) fn worse(error: Option<LookupError>, other: LookupError) -> Option<LookupError> {
    match (error, other) {
        (None | Some(LookupError::Pending), other) => Some(other),
        (error, _) => error,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::{model::Refusal, provider::Freshness};

    /// Reads a list of pages of two rows against a server that answers from a start, and returns the ids or the error,
    /// and how many questions each round had.
    fn play(answer: impl Fn(u64) -> Result<Value, Refusal>) -> (Result<Vec<i64>, String>, Vec<usize>) {
        let request = |page: Value| Request {
            operation: "list_service_instance",
            arguments: json!({"page": page}),
            repeatable: true,
        };
        let list = Counted { request: &request, list: "info", sort: Some("id"), limit: 2 };
        let mut facts = Facts::new(Freshness::Replica, HashMap::new());
        let mut rounds = Vec::new();
        loop {
            let mut observation = Observation::default();
            let read = list.all(|row| row["id"].as_i64(), &mut observation, &facts);
            match read {
                Err(LookupError::Pending) => {}
                Ok(rows) => return (Ok(rows.iter().filter_map(|row| row["id"].as_i64()).collect()), rounds),
                Err(LookupError::Failed(why)) => return (Err(why), rounds),
                Err(LookupError::NoModel) => unreachable!("no model is asked for"),
            }
            rounds.push(observation.ask.len());
            for request in observation.ask {
                let start = request.arguments["page"]["start"].as_u64().unwrap_or_default();
                facts.learn(request, answer(start).map(Into::into));
            }
        }
    }

    fn rows(ids: &[u64], count: u64) -> Value {
        json!({"count": count, "info": ids.iter().map(|id| json!({"id": id})).collect::<Vec<_>>()})
    }

    #[test]
    fn pages_behind_the_first_are_asked_for_together() {
        let five = |start: u64| Ok(rows(&[start, start + 1][..if start == 4 { 1 } else { 2 }], 5));
        assert_eq!(play(five), (Ok(vec![0, 1, 2, 3, 4]), vec![1, 2]));
        assert_eq!(play(|_| Ok(rows(&[], 0))), (Ok(vec![]), vec![1]));
    }

    #[test]
    fn what_is_not_whole_is_an_error() {
        let check = |answer: fn(u64) -> Result<Value, Refusal>, expected: &str| {
            assert_eq!(play(answer).0.expect_err("it is not whole"), expected);
        };
        check(|_| Ok(rows(&[0, 1], 4)), "the rows moved meanwhile");
        check(|start| Ok(if start == 0 { rows(&[0, 1], 3) } else { rows(&[], 3) }), "the rows moved meanwhile");
        check(|_| Ok(json!({"info": []})), "the answer has no count");
        check(
            |_| Ok(rows(&[0, 1], 2_000_000)),
            "the server counts 2000000 rows, more than 1000000: the list is not read",
        );
        let refused = |start: u64| if start == 0 { Ok(rows(&[0, 1], 6)) } else { Err(Refusal::new(None, "busy")) };
        assert!(play(refused).0.expect_err("it was refused").contains("busy"));
    }
}
