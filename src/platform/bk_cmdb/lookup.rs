//! Finding instances of models and businesses: a few large reads for all documents of a run (contract section 7).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Value, json};

use super::attribute::{Attribute, attributes};
use crate::{
    kind::{Facts, Freshness, Observation, Read},
    model::{Desired, Request},
};

/// Most values of one `in`, and most rows of one page.
const PAGE: usize = 500;
/// Most groups of one rule tree: 50 since 3.14.
const GROUPS: usize = 50;
/// Most names in one search for businesses.
const BUSINESSES: usize = 200;

/// Largest page of `list_service_template`.
const TEMPLATES: usize = 1000;

/// What picks an instance of a model.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Selector {
    /// Its id.
    Id(i64),
    /// Values of fields as the server keeps them, by field, as canonical text.
    Fields(BTreeMap<String, Key>),
}

/// A value as text that equals another's only if the values are equal, and the value itself.
#[derive(Debug, Clone)]
pub(super) struct Key {
    text: String,
    value: Value,
}

impl Key {
    pub(super) fn of(value: &Value) -> Self {
        let text = match value {
            Value::Number(number) => number.as_i64().map_or_else(|| number.to_string(), |number| number.to_string()),
            other => other.to_string(),
        };
        Self { text, value: value.clone() }
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.text.cmp(&other.text)
    }
}

/// Why something could not be looked up.
#[derive(Debug, Clone)]
pub(super) enum Trouble {
    /// Not asked yet.
    Pending,
    /// A read failed.
    Failed(String),
    /// The model does not exist.
    NoModel,
}

/// The definition of one model.
pub(super) fn definition<'f>(
    model: &str,
    observation: &mut Observation,
    facts: &'f Facts,
) -> Result<BTreeMap<&'f str, Attribute<'f>>, Trouble> {
    let request =
        Request { operation: "search_object_attribute", arguments: json!({"bk_obj_id": model}), repeatable: true };
    match observation.read(request, facts) {
        Read::Pending => Err(Trouble::Pending),
        Read::Failed(refusal) => Err(Trouble::Failed(refusal.to_string())),
        Read::Value(rows) if rows.as_array().is_none_or(Vec::is_empty) => Err(Trouble::NoModel),
        Read::Value(rows) => Ok(attributes(rows)),
    }
}

/// The rows of one model that fit what was looked for.
#[derive(Default)]
pub(super) struct Rows<'f> {
    rows: BTreeMap<i64, &'f Value>,
    by_field: HashMap<String, HashMap<String, Vec<i64>>>,
}

impl<'f> Rows<'f> {
    /// Returns the rows that a selector picks, by id.
    pub(super) fn find(&self, selector: &Selector) -> Vec<i64> {
        match selector {
            Selector::Id(id) => self.rows.get(id).map(|_| *id).into_iter().collect(),
            Selector::Fields(fields) => {
                let mut lists =
                    fields.iter().map(|(field, key)| self.by_field.get(field).and_then(|index| index.get(&key.text)));
                let Some(Some(first)) = lists.next() else { return Vec::new() };
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
    pub(super) fn row(&self, id: i64) -> Option<&'f Value> {
        self.rows.get(&id).copied()
    }

    fn take(&mut self, row: &'f Value, fields: &BTreeSet<String>) {
        let Some(id) = row["bk_inst_id"].as_i64() else { return };
        if self.rows.insert(id, row).is_some() {
            return;
        }
        for field in fields {
            let key = Key::of(&row[field]);
            self.by_field.entry(field.clone()).or_default().entry(key.text).or_default().push(id);
        }
    }
}

/// Reads the instances of a model that the selectors pick, with at least the given fields of them.
pub(super) fn instances<'f>(
    model: &str,
    business: Option<i64>,
    selectors: &BTreeSet<Selector>,
    fields: &BTreeSet<String>,
    observation: &mut Observation,
    facts: &'f Facts,
) -> Result<Rows<'f>, Trouble> {
    let mut indexed: BTreeSet<String> = BTreeSet::from(["bk_inst_name".to_owned()]);
    let mut rows = Rows::default();
    let mut trouble = None;
    let queries = queries(selectors, &mut indexed);
    let mut fields: BTreeSet<&str> = fields.iter().map(String::as_str).collect();
    fields.extend(indexed.iter().map(String::as_str));
    fields.insert("bk_inst_id");
    for query in queries {
        let mut start = 0;
        loop {
            let request = query.request(model, business, &fields, start, facts.freshness);
            match observation.read(request, facts) {
                Read::Pending => trouble = trouble.or(Some(Trouble::Pending)),
                Read::Failed(refusal) => trouble = Some(Trouble::Failed(refusal.to_string())),
                Read::Value(data) => {
                    let page = data["info"].as_array().map(Vec::as_slice).unwrap_or_default();
                    page.iter().for_each(|row| rows.take(row, &indexed));
                    if page.len() == PAGE && !query.unique {
                        start += PAGE;
                        continue;
                    }
                }
            }
            break;
        }
    }
    trouble.map_or(Ok(rows), Err)
}

/// One read of instances, before the choice of operation.
struct Query {
    rules: Value,
    condition: Value,
    /// It cannot match more rows than it names values.
    unique: bool,
}

impl Query {
    fn request(
        &self,
        model: &str,
        business: Option<i64>,
        fields: &BTreeSet<&str>,
        start: usize,
        freshness: Freshness,
    ) -> Request {
        let page = json!({"start": start, "limit": PAGE, "sort": "bk_inst_id"});
        let (operation, arguments) = match freshness {
            Freshness::Replica => {
                let mut conditions = self.rules.clone();
                if let Some(business) = business {
                    conditions = json!({"condition": "AND", "rules": [
                        {"field": "bk_biz_id", "operator": "equal", "value": business}, conditions]});
                }
                (
                    "search_object_instances",
                    json!({"bk_obj_id": model, "conditions": conditions, "fields": fields, "page": page}),
                )
            }
            // Reads the primary: what was just written shows (contract section 5, consistency).
            Freshness::Primary => {
                let mut condition = self.condition.clone();
                if let Some(business) = business {
                    condition["bk_biz_id"] = json!(business);
                }
                (
                    "search_inst_by_object",
                    json!({"bk_obj_id": model, "condition": condition, "fields": fields, "page": page}),
                )
            }
        };
        Request { operation, arguments, repeatable: true }
    }
}

/// The fewest reads for a set of selectors: ids and values of one field go by 500, groups of fields by 50.
fn queries(selectors: &BTreeSet<Selector>, indexed: &mut BTreeSet<String>) -> Vec<Query> {
    let mut ids = Vec::new();
    let mut single: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    let mut groups = Vec::new();
    for selector in selectors {
        match selector {
            Selector::Id(id) => ids.push(json!(id)),
            Selector::Fields(fields) => {
                indexed.extend(fields.keys().cloned());
                let mut entries = fields.iter();
                match (entries.next(), entries.next()) {
                    (Some((field, key)), None) => single.entry(field).or_default().push(&key.value),
                    _ => groups.push(fields),
                }
            }
        }
    }
    let any_of = |field: &str, values: Value, unique: bool| Query {
        rules: json!({"condition": "AND", "rules": [{"field": field, "operator": "in", "value": values}]}),
        condition: json!({field: {"$in": values}}),
        unique,
    };
    let mut queries: Vec<_> = ids.chunks(PAGE).map(|ids| any_of("bk_inst_id", json!(ids), true)).collect();
    for (field, values) in single {
        let unique = field == "bk_inst_name";
        queries.extend(values.chunks(PAGE).map(|values| any_of(field, json!(values), unique)));
    }
    for chunk in groups.chunks(GROUPS) {
        let rules: Vec<_> = chunk
            .iter()
            .map(|fields| {
                let rules: Vec<_> = fields
                    .iter()
                    .map(|(field, key)| json!({"field": field, "operator": "equal", "value": key.value}))
                    .collect();
                json!({"condition": "AND", "rules": rules})
            })
            .collect();
        let raw: Vec<Value> = chunk
            .iter()
            .map(|fields| fields.iter().map(|(field, key)| (field.clone(), key.value.clone())).collect())
            .collect();
        queries.push(Query {
            rules: json!({"condition": "OR", "rules": rules}),
            condition: json!({"$or": raw}),
            unique: false,
        });
    }
    queries
}

/// Names of a model's instances, for hints: one page, whatever the size of the model.
pub(super) fn some_names(model: &str, observation: &mut Observation, facts: &Facts) -> Option<Vec<String>> {
    let request = Request {
        operation: "search_object_instances",
        arguments: json!({"bk_obj_id": model, "fields": ["bk_inst_name"],
            "page": {"start": 0, "limit": PAGE, "sort": "bk_inst_id"}}),
        repeatable: true,
    };
    match observation.read(request, facts) {
        Read::Pending => None,
        Read::Failed(_) => Some(Vec::new()),
        Read::Value(data) => Some(names(&data["info"], "bk_inst_name")),
    }
}

/// The texts of one field of rows.
pub(super) fn names(rows: &Value, field: &str) -> Vec<String> {
    rows.as_array().into_iter().flatten().filter_map(|row| row[field].as_str().map(str::to_owned)).collect()
}

/// The businesses that the documents of a target name.
#[derive(Default)]
pub(super) struct Businesses {
    ids: HashMap<String, Vec<i64>>,
}

/// What a business was given as came to.
pub(super) enum Place {
    /// Its id.
    Id(i64),
    /// No business has that name; these do.
    Missing(Vec<String>),
    /// Several have it.
    Several,
}

impl Businesses {
    /// Reads the ids of all businesses that documents name, for all kinds at once.
    pub(super) fn of(all: &[&Desired], observation: &mut Observation, facts: &Facts) -> Result<Self, Trouble> {
        let named: BTreeSet<&str> =
            all.iter().filter_map(|desired| desired.locate("business").and_then(Value::as_str)).collect();
        let named: Vec<_> = named.into_iter().collect();
        let mut found = Self::default();
        let mut trouble = None;
        for chunk in named.chunks(BUSINESSES) {
            // A plain string would be a substring match (contract section 4.5).
            let request = Request {
                operation: "search_business",
                arguments: json!({"condition": {"bk_biz_name": {"$in": chunk}}, "fields": ["bk_biz_id", "bk_biz_name"],
                    "page": {"start": 0, "limit": BUSINESSES, "sort": "bk_biz_id"}}),
                repeatable: true,
            };
            match observation.read(request, facts) {
                Read::Pending => trouble = trouble.or(Some(Trouble::Pending)),
                Read::Failed(refusal) => trouble = Some(Trouble::Failed(refusal.to_string())),
                Read::Value(data) => {
                    for row in data["info"].as_array().into_iter().flatten() {
                        if let (Some(id), Some(name)) = (row["bk_biz_id"].as_i64(), row["bk_biz_name"].as_str()) {
                            found.ids.entry(name.to_owned()).or_default().push(id);
                        }
                    }
                }
            }
        }
        trouble.map_or(Ok(found), Err)
    }

    /// Returns the business that a document points at, by name or id. Asks for the names that exist where none fits.
    pub(super) fn find(&self, given: &Value, observation: &mut Observation, facts: &Facts) -> Option<Place> {
        if let Some(id) = given.as_i64() {
            return Some(Place::Id(id));
        }
        match self.ids.get(given.as_str().unwrap_or_default()).map(Vec::as_slice) {
            Some([id]) => Some(Place::Id(*id)),
            Some(_) => Some(Place::Several),
            None => {
                let request = Request {
                    operation: "search_business",
                    arguments: json!({"condition": {}, "fields": ["bk_biz_id", "bk_biz_name"],
                        "page": {"start": 0, "limit": BUSINESSES, "sort": "bk_biz_id"}}),
                    repeatable: true,
                };
                match observation.read(request, facts) {
                    Read::Pending => None,
                    Read::Failed(_) => Some(Place::Missing(Vec::new())),
                    Read::Value(data) => Some(Place::Missing(names(&data["info"], "bk_biz_name"))),
                }
            }
        }
    }
}

/// Reads rows that lie in `data`, or in a list of it.
pub(super) fn read_rows<'f>(
    request: Request,
    list: &str,
    observation: &mut Observation,
    facts: &'f Facts,
) -> Result<Vec<&'f Value>, Trouble> {
    match observation.read(request, facts) {
        Read::Pending => Err(Trouble::Pending),
        Read::Failed(refusal) => Err(Trouble::Failed(refusal.to_string())),
        Read::Value(data) => {
            let rows = if list.is_empty() { data } else { &data[list] };
            Ok(rows.as_array().into_iter().flatten().collect())
        }
    }
}

/// Reads all service templates of a business.
pub(super) fn service_templates<'f>(
    business: i64,
    observation: &mut Observation,
    facts: &'f Facts,
) -> Result<Vec<&'f Value>, Trouble> {
    let mut all = Vec::new();
    loop {
        let page = json!({"start": all.len(), "limit": TEMPLATES, "sort": "id"});
        let arguments = json!({"bk_biz_id": business, "page": page});
        let request = Request { operation: "list_service_template", arguments, repeatable: true };
        let rows = read_rows(request, "info", observation, facts)?;
        let last = rows.len() < TEMPLATES;
        all.extend(rows);
        if last {
            return Ok(all);
        }
    }
}

/// Reads the service categories that a business can use, the built-in ones included.
pub(super) fn service_categories<'f>(
    business: i64,
    observation: &mut Observation,
    facts: &'f Facts,
) -> Result<Vec<&'f Value>, Trouble> {
    let arguments = json!({"bk_biz_id": business});
    let request = Request { operation: "list_service_category", arguments, repeatable: true };
    read_rows(request, "info", observation, facts)
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
            let outcome = instances("m", None, &selectors, &BTreeSet::new(), &mut observation, &facts);
            assert_eq!(matches!(outcome, Err(Trouble::Pending)), expected > 0);
            assert_eq!(observation.ask.len(), expected);
        };
        let by =
            |field: &str, value: i64| Selector::Fields([(field.to_owned(), Key::of(&json!(value.to_string())))].into());
        let two = |value: i64| {
            Selector::Fields([("a".to_owned(), Key::of(&json!(value))), ("b".to_owned(), Key::of(&json!(1)))].into())
        };
        check(Vec::new(), 0);
        check((0..500).map(Selector::Id).collect(), 1);
        check((0..501).map(Selector::Id).collect(), 2);
        check((0..1001).map(|value| by("bk_inst_name", value)).collect(), 3);
        check((0..10).flat_map(|value| [by("x", value), by("y", value), Selector::Id(value)]).collect(), 3);
        check((0..101).map(two).collect(), 3);
    }
}
