//! Reads of hosts and of the modules that they are in, in chunks of 500 (contract "topology", section 7).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::key::{ADDRESS, ASSET, CLOUD, ID, Key};
use crate::{
    model::{Json, Request},
    platform::bk_cmdb::lookup::{Counted, LookupError, check_page, worse},
    provider::{Facts, Observation, Read},
};

/// Most hosts of one question, and rows of a page of hosts.
const CHUNK: usize = 500;
/// Largest page of pairs of hosts and modules.
const PAIRS: usize = 1000;
/// Their order: pages hold still under two fields alone (trap 20).
const PAIR_ORDER: &str = "bk_host_id,bk_module_id";
/// Columns by which hosts are told apart.
pub(super) const KEYS: &[&str] = &[ID, ADDRESS, CLOUD, ASSET];

/// Reads the hosts that keys name: those of a business, else wherever they are.
pub(super) fn hosts<'f>(
    business: Option<i64>,
    keys: &BTreeSet<Key>,
    fields: &BTreeSet<String>,
    observation: &mut Observation,
    facts: &'f Facts,
) -> Result<Vec<&'f Json>, LookupError> {
    let mut error = None;
    let mut all = Vec::new();
    for filter in filters(keys) {
        let mut rows: Vec<&Json> = Vec::new();
        loop {
            let mut arguments = json!({"host_property_filter": filter, "fields": fields,
                "page": {"start": rows.len(), "limit": CHUNK, "sort": ID}});
            let operation = match business {
                Some(business) => {
                    arguments["bk_biz_id"] = json!(business);
                    "list_biz_hosts"
                }
                None => "list_hosts_without_biz",
            };
            match observation.read(Request { operation, arguments, repeatable: true }, facts) {
                Read::Pending => error = error.or(Some(LookupError::Pending)),
                Read::Failed(refusal) => error = Some(LookupError::Failed(refusal.to_string())),
                Read::Value(data) => {
                    let page: Vec<&Json> = data["info"].items().iter().collect();
                    check_page(&rows, &page)?;
                    let count = data["count"].as_u64().unwrap_or_default();
                    rows.extend(&page);
                    // Several hosts whose addresses are given by chance may have the same one.
                    if !page.is_empty() && (rows.len() as u64) < count {
                        continue;
                    }
                }
            }
            break;
        }
        all.extend(rows);
    }
    error.map_or(Ok(all), Err)
}

/// Returns the fewest filters that find the hosts of keys.
fn filters(keys: &BTreeSet<Key>) -> Vec<Value> {
    let mut values: BTreeMap<(&str, Option<i64>), Vec<Value>> = BTreeMap::new();
    for key in keys {
        let (group, value) = match key {
            Key::Id(id) => ((ID, None), json!(id)),
            Key::Address(cloud, address) => ((ADDRESS, Some(*cloud)), json!(address)),
            Key::Asset(asset) => ((ASSET, None), json!(asset)),
        };
        values.entry(group).or_default().push(value);
    }
    let mut filters = Vec::new();
    for ((field, cloud), values) in values {
        for chunk in values.chunks(CHUNK) {
            let mut rules = vec![json!({"field": field, "operator": "in", "value": chunk})];
            rules.extend(cloud.map(|cloud| json!({"field": CLOUD, "operator": "equal", "value": cloud})));
            filters.push(json!({"condition": "AND", "rules": rules}));
        }
    }
    filters
}

/// Returns the request for a page of the pairs of hosts and modules.
fn pair_request(business: Option<i64>, hosts: &[i64], page: &Value) -> Request {
    let mut arguments = json!({"bk_host_ids": hosts, "page": page});
    if let Some(business) = business {
        arguments["bk_biz_id"] = json!(business);
    }
    Request { operation: "find_host_topo_relation", arguments, repeatable: true }
}

/// Returns the requests by which [`pairs`] has read pairs of hosts of a business.
pub(super) fn pair_requests(business: i64, hosts: &BTreeSet<i64>, pairs: &Pairs<'_>) -> Vec<Request> {
    let hosts: Vec<i64> = hosts.iter().copied().collect();
    let mut requests = Vec::new();
    for chunk in hosts.chunks(CHUNK) {
        let count: usize = chunk.iter().filter_map(|host| pairs.get(host)).map(Vec::len).sum();
        let pages = (0..count.max(1)).step_by(PAIRS);
        let pages = pages.map(|start| json!({"start": start, "limit": PAIRS, "sort": PAIR_ORDER}));
        requests.extend(pages.map(|page| pair_request(Some(business), chunk, &page)));
    }
    requests
}

/// The pairs of hosts and modules, by host.
pub(super) type Pairs<'f> = BTreeMap<i64, Vec<&'f Json>>;

/// Reads the modules that hosts are in: those of a business, else of all.
pub(super) fn pairs<'f>(
    business: Option<i64>,
    hosts: &BTreeSet<i64>,
    observation: &mut Observation,
    facts: &'f Facts,
) -> Result<Pairs<'f>, LookupError> {
    let hosts: Vec<i64> = hosts.iter().copied().collect();
    let (mut error, mut all) = (None, Pairs::new());
    for chunk in hosts.chunks(CHUNK) {
        let request = |page: Value| pair_request(business, chunk, &page);
        let sort = Some(PAIR_ORDER);
        let list = Counted { request: &request, list: "data", sort, limit: PAIRS };
        let pair = |row: &Json| (row["bk_host_id"].as_i64(), row["bk_module_id"].as_i64());
        match list.all(pair, observation, facts) {
            Ok(rows) => {
                for row in rows {
                    all.entry(row["bk_host_id"].as_i64().unwrap_or_default()).or_default().push(row);
                }
            }
            Err(found) => error = worse(error, found),
        }
    }
    error.map_or(Ok(all), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_one_sort_share_a_filter() {
        let address = |cloud: i64, at: usize| Key::Address(cloud, format!("10.0.{}.{}", at / 250, at % 250));
        let check = |keys: BTreeSet<Key>, expected: usize| assert_eq!(filters(&keys).len(), expected);
        check((0..500).map(|at| address(0, at)).collect(), 1);
        check((0..501).map(|at| address(0, at)).collect(), 2);
        check([address(0, 1), address(1, 1)].into(), 2);
        check([Key::Id(1), Key::Id(2), Key::Asset("a".to_owned()), address(0, 1)].into(), 3);
        check(BTreeSet::new(), 0);
    }
}
