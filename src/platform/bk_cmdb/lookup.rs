//! Finding instances of models and businesses: a few large reads for all documents of a run (contract section 7).

mod bounds;
mod business;
mod pages;
mod selector;
mod service;
mod topology;
mod whole;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use foldhash::fast::RandomState;
use selector::KeyRef;
use serde_json::{Value, json};
use smallvec::SmallVec;

use super::{
    attribute::{Definition, attributes},
    codes,
    version::Version,
};
use crate::{
    model::{Json, Refusal, Request},
    provider::{Facts, Freshness, Observation, Read},
};

pub(super) use bounds::{check_count, check_page};
pub(super) use business::{Businesses, Place};
pub(super) use pages::{Counted, until_short, worse};
pub(super) use selector::{Key, Selector};
pub(super) use service::{TEMPLATES, service_categories, service_templates, service_templates_page};
pub(super) use topology::{all_modules, modules_by_ids, modules_of_sets, modules_request, sets_by_ids};
pub(super) use whole::all_instances;

/// Most values of one `in`, and most rows of one page.
const PAGE: usize = 500;
/// Most groups of one rule tree since 3.14.
const GROUPS: usize = 50;
/// Most groups of one rule tree before 3.14.
const FEW_GROUPS: usize = 20;
/// The parent of an instance of a custom layer. Other instances have none.
pub(super) const PARENT: &str = "bk_parent_id";

/// Why something could not be looked up.
#[derive(Debug, Clone)]
pub(super) enum LookupError {
    /// Not asked yet.
    Pending,
    /// A read failed.
    Failed(String),
    /// The model does not exist.
    NoModel,
}

/// The definition of one model.
pub(super) fn definition(
    model: &str,
    observation: &mut Observation,
    facts: &Facts,
) -> Result<Arc<Definition>, LookupError> {
    definition_in(model, None, observation, facts)
}

/// The definition of one model, with the attributes that belong to a business alone. It is worked out once a run.
pub(super) fn definition_in(
    model: &str,
    business: Option<i64>,
    observation: &mut Observation,
    facts: &Facts,
) -> Result<Arc<Definition>, LookupError> {
    let name = business.map_or(Cow::Borrowed(model), |business| format!("{model} of {business}").into());
    if let Some(known) = facts.derived(&name) {
        return Ok(known);
    }
    let mut arguments = json!({"bk_obj_id": model});
    if let Some(business) = business {
        arguments["bk_biz_id"] = json!(business);
    }
    let request = Request { operation: "search_object_attribute", arguments, repeatable: true };
    match observation.read(request, facts) {
        Read::Pending => Err(LookupError::Pending),
        Read::Failed(refusal) => Err(LookupError::Failed(refusal.to_string())),
        Read::Value(rows) if rows.items().is_empty() => Err(LookupError::NoModel),
        Read::Value(rows) => Ok(facts.derive(&name, || attributes(rows))),
    }
}

/// The rows of one model that fit what was looked for.
#[derive(Default)]
pub(super) struct Rows<'f> {
    rows: HashMap<i64, &'f Json, RandomState>,
    by_field: BTreeMap<Arc<str>, HashMap<KeyRef<'f>, Ids, RandomState>>,
}

/// Ids of instances: one, as a rule.
pub(super) type Ids = SmallVec<[i64; 1]>;

impl<'f> Rows<'f> {
    /// Returns the rows that a selector picks, by id.
    pub(super) fn find(&self, selector: &Selector) -> Ids {
        match selector {
            Selector::Id(id) => self.rows.get(id).map(|_| *id).into_iter().collect(),
            Selector::Fields(fields) => {
                let mut lists = fields.iter().map(|(field, key)| self.by_field.get(field)?.get(&KeyRef(key.value())));
                let Some(Some(first)) = lists.next() else { return Ids::new() };
                if fields.len() == 1 {
                    return first.clone();
                }
                let rest: Vec<_> = lists.collect();
                first
                    .iter()
                    .copied()
                    .filter(|id| rest.iter().all(|list| list.is_some_and(|l| l.contains(id))))
                    .collect()
            }
        }
    }

    /// Returns a row.
    pub(super) fn row(&self, id: i64) -> Option<&'f Json> {
        self.rows.get(&id).copied()
    }

    /// Returns no rows yet, to be found by some fields.
    fn indexed(fields: &BTreeSet<Arc<str>>) -> Self {
        Self {
            rows: HashMap::default(),
            by_field: fields.iter().map(|field| (field.clone(), HashMap::default())).collect(),
        }
    }

    fn add(&mut self, row: &'f Json) {
        let Some(id) = row["bk_inst_id"].as_i64() else { return };
        if self.rows.insert(id, row).is_some() {
            return;
        }
        for (field, index) in &mut self.by_field {
            index.entry(KeyRef(&row[&**field])).or_default().push(id);
        }
    }
}

/// Reads the instances of a model that the selectors pick, with at least the given fields of them.
pub(super) fn instances<'f, 's>(
    model: &str,
    business: Option<i64>,
    selectors: impl IntoIterator<Item = &'s Selector>,
    fields: impl IntoIterator<Item = &'s str>,
    observation: &mut Observation,
    facts: &'f Facts,
) -> Result<Rows<'f>, LookupError> {
    let mut indexed: BTreeSet<Arc<str>> = BTreeSet::from(["bk_inst_name".into()]);
    let mut error = None;
    let version = facts.settings.get("version").and_then(|version| Version::parse(version));
    let groups = if version.is_some_and(|version| version < Version::V3_14) { FEW_GROUPS } else { GROUPS };
    let mut queries = queries(selectors, &mut indexed, groups);
    let mut fields: BTreeSet<&str> = fields.into_iter().collect();
    fields.extend(indexed.iter().map(|field| &**field));
    fields.extend(["bk_inst_id", PARENT]);
    let mut rows = Rows::indexed(&indexed);
    while let Some(query) = queries.pop_front() {
        let (mut start, mut seen) = (0, Vec::new());
        loop {
            let ask = Ask { query: &query, model, business, fields: &fields, start };
            let read = match facts.freshness {
                Freshness::Replica => observation.read(ask.by_rules(), facts),
                Freshness::Primary => observation.read(ask.by_condition(), facts),
            };
            let read = match read {
                Read::Failed(refusal) if refusal.is_absent() && facts.freshness == Freshness::Replica => {
                    observation.read(ask.by_condition(), facts)
                }
                read => read,
            };
            match read {
                Read::Pending => error = error.or(Some(LookupError::Pending)),
                Read::Failed(refusal) if is_too_wide(refusal) && query.is_wide() => queries.extend(query.narrowed()),
                Read::Failed(refusal) => error = Some(LookupError::Failed(refusal.to_string())),
                Read::Value(data) => {
                    let page: Vec<&Json> = data["info"].as_array().into_iter().flatten().collect();
                    check_page(&seen, &page)?;
                    page.iter().for_each(|row| rows.add(row));
                    seen.extend(&page);
                    start += page.len();
                    // Only the older operation counts; a server that cuts its pages shorter shows by that.
                    let more = match data["count"].as_u64() {
                        Some(count) => !page.is_empty() && (start as u64) < count,
                        None => page.len() == PAGE && !query.is_unique(),
                    };
                    if more {
                        continue;
                    }
                }
            }
            break;
        }
    }
    error.map_or(Ok(rows), Err)
}

/// The query of one read of instances.
enum Query<'s> {
    /// Any of some values of a field.
    In(&'s str, Vec<&'s Json>),
    /// Any of some ids.
    Ids(Vec<i64>),
    /// Any of some groups of fields.
    Groups(Vec<&'s [(Arc<str>, Key)]>),
}

impl<'s> Query<'s> {
    /// Returns true if it cannot match more rows than it names values.
    fn is_unique(&self) -> bool {
        matches!(self, Self::Ids(_) | Self::In("bk_inst_name", _))
    }

    fn is_wide(&self) -> bool {
        matches!(self, Self::Groups(groups) if groups.len() > FEW_GROUPS)
    }

    /// Returns the same as queries for servers before 3.14.
    fn narrowed(&self) -> Vec<Query<'s>> {
        match self {
            Self::Groups(groups) => groups.chunks(FEW_GROUPS).map(|groups| Self::Groups(groups.to_vec())).collect(),
            Self::In(..) | Self::Ids(_) => Vec::new(),
        }
    }

    fn rules(&self) -> Value {
        let any_of = |field: &str, values: Value| json!({"condition": "AND", "rules": [{"field": field, "operator": "in", "value": values}]});
        match self {
            Self::In(field, values) => any_of(field, json!(values)),
            Self::Ids(ids) => any_of("bk_inst_id", json!(ids)),
            Self::Groups(groups) => {
                let group = |fields: &&[(Arc<str>, Key)]| {
                    let rules: Vec<_> = fields
                        .iter()
                        .map(|(field, key)| json!({"field": **field, "operator": "equal", "value": key.value()}))
                        .collect();
                    json!({"condition": "AND", "rules": rules})
                };
                json!({"condition": "OR", "rules": groups.iter().map(group).collect::<Vec<_>>()})
            }
        }
    }

    fn condition(&self) -> Value {
        match self {
            Self::In(field, values) => json!({*field: {"$in": values}}),
            Self::Ids(ids) => json!({"bk_inst_id": {"$in": ids}}),
            Self::Groups(groups) => {
                let group = |fields: &&[(Arc<str>, Key)]| -> Value {
                    fields.iter().map(|(field, key)| (field.to_string(), key.value().to_value())).collect()
                };
                json!({"$or": groups.iter().map(group).collect::<Vec<_>>()})
            }
        }
    }
}

/// One page of a query.
struct Ask<'a> {
    query: &'a Query<'a>,
    model: &'a str,
    business: Option<i64>,
    fields: &'a BTreeSet<&'a str>,
    start: usize,
}

impl Ask<'_> {
    fn page(&self) -> Value {
        json!({"start": self.start, "limit": PAGE, "sort": "bk_inst_id"})
    }

    /// The search of 3.10 and later, which a replica may answer.
    fn by_rules(&self) -> Request {
        let mut conditions = self.query.rules();
        if let Some(business) = self.business {
            conditions = json!({"condition": "AND", "rules": [
                {"field": "bk_biz_id", "operator": "equal", "value": business}, conditions]});
        }
        let arguments = json!({"bk_obj_id": self.model, "conditions": conditions, "fields": self.fields,
            "page": self.page()});
        Request { operation: "search_object_instances", arguments, repeatable: true }
    }

    /// The search that all versions have. It reads the primary: what was just written shows (contract section 5,
    /// consistency).
    fn by_condition(&self) -> Request {
        let mut condition = self.query.condition();
        if let Some(business) = self.business {
            condition["bk_biz_id"] = json!(business);
        }
        let arguments = json!({"bk_obj_id": self.model, "condition": condition, "fields": self.fields,
            "page": self.page()});
        Request { operation: "search_inst_by_object", arguments, repeatable: true }
    }
}

/// Returns true if a request has more alternatives than servers before 3.14 take.
pub(super) fn is_wide(request: &Request) -> bool {
    fn has_wide_group(rule: &Value) -> bool {
        let rules = rule["rules"].as_array().map(Vec::as_slice).unwrap_or_default();
        (rule["condition"] == "OR" && rules.len() > FEW_GROUPS) || rules.iter().any(has_wide_group)
    }
    request.operation == "search_object_instances" && has_wide_group(&request.arguments["conditions"])
}

/// Returns true if a refusal may come from too many alternatives.
pub(super) fn is_too_wide(refusal: &Refusal) -> bool {
    codes::breaks_rules(refusal)
}

/// The fewest reads for a set of selectors: ids and values of one field go by 500, groups of fields by fewer.
fn queries<'s>(
    selectors: impl IntoIterator<Item = &'s Selector>,
    indexed: &mut BTreeSet<Arc<str>>,
    most_groups: usize,
) -> VecDeque<Query<'s>> {
    let mut ids = Vec::new();
    let mut single: BTreeMap<&str, Vec<&Json>> = BTreeMap::new();
    let mut groups = Vec::new();
    for selector in selectors {
        match selector {
            Selector::Id(id) => ids.push(*id),
            Selector::Fields(fields) => {
                for (field, _) in fields.iter() {
                    if !indexed.contains(field) {
                        indexed.insert(field.clone());
                    }
                }
                match &**fields {
                    [(field, key)] => single.entry(field).or_default().push(key.value()),
                    _ => groups.push(&**fields),
                }
            }
        }
    }
    let mut queries: VecDeque<_> = ids.chunks(PAGE).map(|ids| Query::Ids(ids.to_vec())).collect();
    for (field, values) in single {
        queries.extend(values.chunks(PAGE).map(|values| Query::In(field, values.to_vec())));
    }
    queries.extend(groups.chunks(most_groups).map(|groups| Query::Groups(groups.to_vec())));
    queries
}

/// Returns true if an instance with this parent is one of a layer of the topology.
pub(super) fn is_layer(parent: &Json) -> bool {
    parent.as_i64().is_some_and(|parent| parent != 0)
}

/// Names of a model's instances, for hints: one page, whatever the size of the model.
pub(super) fn some_names(model: &str, observation: &mut Observation, facts: &Facts) -> Option<Vec<String>> {
    let request = Request {
        operation: "search_object_instances",
        arguments: json!({"bk_obj_id": model, "fields": ["bk_inst_name"],
            "page": {"start": 0, "limit": PAGE, "sort": "bk_inst_id"}}),
        repeatable: true,
    };
    let older = Request {
        operation: "search_inst_by_object",
        arguments: json!({"bk_obj_id": model, "condition": {}, "fields": ["bk_inst_name"],
            "page": {"start": 0, "limit": PAGE, "sort": "bk_inst_id"}}),
        repeatable: true,
    };
    let read = match observation.read(request, facts) {
        Read::Failed(refusal) if refusal.is_absent() => observation.read(older, facts),
        read => read,
    };
    match read {
        Read::Pending => None,
        Read::Failed(_) => Some(Vec::new()),
        Read::Value(data) => Some(names(&data["info"], "bk_inst_name")),
    }
}

/// The texts of one field of rows.
pub(super) fn names(rows: &Json, field: &str) -> Vec<String> {
    rows.as_array().into_iter().flatten().filter_map(|row| row[field].as_str().map(str::to_owned)).collect()
}

/// Reads rows that lie in `data`, or in a list of it.
pub(super) fn read_rows<'f>(
    request: Request,
    list: &str,
    observation: &mut Observation,
    facts: &'f Facts,
) -> Result<Vec<&'f Json>, LookupError> {
    match observation.read(request, facts) {
        Read::Pending => Err(LookupError::Pending),
        Read::Failed(refusal) => Err(LookupError::Failed(refusal.to_string())),
        Read::Value(data) => {
            let rows = if list.is_empty() { data } else { &data[list] };
            Ok(rows.as_array().into_iter().flatten().collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_are_batched() {
        let check = |selectors: Vec<Selector>, expected: usize| {
            let mut observation = Observation::default();
            let selectors: BTreeSet<_> = selectors.into_iter().collect();
            let facts = Facts::default();
            let outcome = instances("m", None, &selectors, [], &mut observation, &facts);
            assert_eq!(matches!(outcome, Err(LookupError::Pending)), expected > 0);
            assert_eq!(observation.ask.len(), expected);
        };
        let by =
            |field: &str, value: i64| Selector::fields([(field.into(), Key::of(&json!(value.to_string()).into()))]);
        let two = |value: i64| {
            Selector::fields([("a".into(), Key::of(&json!(value).into())), ("b".into(), Key::of(&1.into()))])
        };
        check(Vec::new(), 0);
        check((0..500).map(Selector::Id).collect(), 1);
        check((0..501).map(Selector::Id).collect(), 2);
        check((0..1001).map(|value| by("bk_inst_name", value)).collect(), 3);
        check((0..10).flat_map(|value| [by("x", value), by("y", value), Selector::Id(value)]).collect(), 3);
        check((0..101).map(two).collect(), 3);
    }

    /// Plays a server of a version and returns how often it was asked what, before rows of 101 pairs were known.
    #[test]
    fn older_servers_are_asked_in_older_ways() {
        let check = |setting: Option<&str>, refuse: fn(&Request) -> Option<Refusal>, expected: &[(&str, usize)]| {
            let settings = setting.map(|version| ("version".to_owned(), version.to_owned()));
            let mut facts = Facts::new(Freshness::Replica, settings.into_iter().collect());
            let pair = |value: i64| {
                let fields = [("a", value), ("b", 1)];
                Selector::fields(fields.map(|(field, value)| (field.into(), Key::of(&json!(value).into()))))
            };
            let selectors: BTreeSet<_> = (0..101).map(pair).collect();
            let mut asked: BTreeMap<&str, usize> = BTreeMap::new();
            for _ in 0..10 {
                let mut observation = Observation::default();
                if instances("m", None, &selectors, [], &mut observation, &facts).is_ok() {
                    break;
                }
                for request in observation.ask {
                    *asked.entry(request.operation).or_default() += 1;
                    let answer = refuse(&request).map_or_else(|| Ok(json!({"info": null}).into()), Err);
                    facts.learn(request, answer);
                }
            }
            assert_eq!(asked.into_iter().collect::<Vec<_>>(), expected);
        };
        let absent = |request: &Request| {
            (request.operation == "search_object_instances").then(|| Refusal::absent(request.operation, "old"))
        };
        let select =
            |request: &Request| is_wide(request).then(|| Refusal::new(Some("1199006".into()), "too many rules"));
        check(None, |_| None, &[("search_object_instances", 3)]);
        check(Some("3.13"), |_| None, &[("search_object_instances", 6)]);
        check(None, absent, &[("search_inst_by_object", 3), ("search_object_instances", 3)]);
        check(None, select, &[("search_object_instances", 9)]);
    }
}
