//! The rows that are there, and what the mapping of an association (1:1, 1:n, n:n) allows beside them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Value, json};

use super::{Wanted, ends::End, live};
use crate::{
    diagnostic::Diagnostic,
    kind::{Facts, Observation, Read},
    model::{Request, Sight},
    platform::bk_cmdb::{kinds::module::read_rows, lookup::Trouble},
};

/// Most values of one `in`, and most rows of one page.
pub(super) const PAGE: usize = 500;

/// Reads rows of associations by the model at one of their ends: those with given values in a field.
pub(super) fn rows<'f>(
    model: &str,
    association: Option<&str>,
    (field, values): (&str, &[i64]),
    observation: &mut Observation,
    facts: &'f Facts,
) -> Result<Vec<&'f Value>, Trouble> {
    let mut found = Vec::new();
    loop {
        let request = search(model, association, (field, values), found.len());
        let page = match observation.read(request, facts) {
            Read::Pending => return Err(Trouble::Pending),
            // Before 3.10: all of them at once.
            Read::Failed(refusal) if refusal.is_absent() => {
                return read_rows(find(model, association, (field, values)), "", observation, facts);
            }
            Read::Failed(refusal) => return Err(Trouble::Failed(refusal.to_string())),
            Read::Value(data) => data["info"].as_array().map(Vec::as_slice).unwrap_or_default(),
        };
        found.extend(page);
        if page.len() < PAGE {
            return Ok(found);
        }
    }
}

/// The search of 3.10 and later.
fn search(model: &str, association: Option<&str>, (field, values): (&str, &[i64]), start: usize) -> Request {
    let mut rules = Vec::new();
    rules.extend(association.map(|name| json!({"field": "bk_obj_asst_id", "operator": "equal", "value": name})));
    rules.push(json!({"field": field, "operator": "in", "value": values}));
    Request {
        operation: "search_instance_associations",
        arguments: json!({"bk_obj_id": model, "conditions": {"condition": "AND", "rules": rules},
            "fields": ["id", "bk_inst_id", "bk_asst_inst_id"], "page": {"start": start, "limit": PAGE, "sort": "id"}}),
        repeatable: true,
    }
}

/// The search that all versions have. It knows no pages.
fn find(model: &str, association: Option<&str>, (field, values): (&str, &[i64])) -> Request {
    let mut condition = json!({field: {"$in": values}});
    if let Some(name) = association {
        condition["bk_obj_asst_id"] = json!(name);
    }
    let arguments = json!({"bk_obj_id": model, "condition": condition});
    Request { operation: "find_instance_association", arguments, repeatable: true }
}

/// The live rows that declared ones could meet.
struct Links {
    ids: HashMap<(i64, i64), i64>,
    targets_of: HashMap<i64, Vec<i64>>,
    sources_of: HashMap<i64, Vec<i64>>,
}

/// One association between models.
struct Association<'a> {
    name: &'a str,
    source_model: &'a str,
    target_model: &'a str,
    mapping: &'a str,
}

impl<'a> Association<'a> {
    fn of(definition: &'a Value) -> Self {
        let text = |key: &str| definition[key].as_str().unwrap_or_default();
        let mapping = definition["mapping"].as_str().unwrap_or("n:n");
        Self {
            name: text("bk_obj_asst_id"),
            source_model: text("bk_obj_id"),
            target_model: text("bk_asst_obj_id"),
            mapping,
        }
    }

    /// Reads the rows of the declared sources. Where a target has one source only, the rows of the declared targets
    /// are read too: an undeclared source may hold one.
    fn read(&self, group: &[Wanted<'_>], observation: &mut Observation, facts: &Facts) -> Result<Links, Trouble> {
        let mut asked = vec![("bk_inst_id", known(group.iter().map(|one| &one.source)))];
        if self.mapping != "n:n" {
            asked.push(("bk_asst_inst_id", known(group.iter().map(|one| &one.target))));
        }
        let mut rows: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
        let mut trouble = None;
        for (field, ids) in &asked {
            for chunk in ids.chunks(PAGE) {
                match self::rows(self.source_model, Some(self.name), (field, chunk), observation, facts) {
                    Ok(found) => rows.extend(found.iter().filter_map(|one| ends_of(one))),
                    Err(Trouble::Pending) => trouble = trouble.or(Some(Trouble::Pending)),
                    Err(other) => trouble = Some(other),
                }
            }
        }
        if let Some(trouble) = trouble {
            return Err(trouble);
        }
        let mut links = Links {
            ids: rows.iter().map(|(id, ends)| (*ends, *id)).collect(),
            targets_of: HashMap::new(),
            sources_of: HashMap::new(),
        };
        for (source, target) in rows.values() {
            links.targets_of.entry(*source).or_default().push(*target);
            links.sources_of.entry(*target).or_default().push(*source);
        }
        Ok(links)
    }

    /// Says what is known of a row that no other declared row forbids.
    fn sight(&self, one: &Wanted<'_>, links: &Links) -> Sight {
        if let (End::Id(source), End::Id(target)) = (&one.source, &one.target)
            && let Some(id) = links.ids.get(&(*source, *target))
        {
            return Sight::Found(live(self.source_model, &json!(id)));
        }
        let first = |held: &HashMap<i64, Vec<i64>>, end: &End| match end {
            End::Id(id) => held.get(id).and_then(|others| others.first().copied()),
            End::Made(_) => None,
        };
        let (name, mapping) = (self.name, self.mapping);
        let problem = if let Some(holder) = first(&links.sources_of, &one.target).filter(|_| mapping != "n:n") {
            Some(format!("`{name}` is {mapping}, and {} #{holder} holds this target", self.source_model))
        } else {
            let held = first(&links.targets_of, &one.source).filter(|_| mapping == "1:1");
            held.map(|held| format!("`{name}` is 1:1, and its source holds {} #{held}", self.target_model))
        };
        match problem {
            Some(message) => Sight::Impossible(Box::new(Diagnostic::error("P124", message, &one.desired.origin))),
            None => Sight::Absent {
                nearest: Vec::new(),
                rivals: Vec::new(),
                place: json!({"source": one.source.argument(), "target": one.target.argument(),
                    "model": self.source_model}),
            },
        }
    }
}

/// Says of the rows of one association which are there and which can be made.
pub(super) fn settle(
    definition: &Value,
    group: &[Wanted<'_>],
    observation: &mut Observation,
    facts: &Facts,
) -> Result<(), Trouble> {
    let association = Association::of(definition);
    let links = association.read(group, observation, facts)?;
    let mut declared = Declared::default();
    for (at, one) in group.iter().enumerate() {
        declared.add(at, one);
    }
    for (at, one) in group.iter().enumerate() {
        let sight = match declared.conflict(at, one, &association) {
            Some((message, others)) => {
                let diagnostic = Diagnostic::error("P124", message, &one.desired.origin);
                let others = others.iter().filter(|other| **other != at).map(|other| group[*other].desired);
                Sight::Impossible(Box::new(others.fold(diagnostic, |diagnostic, other| {
                    diagnostic.also(&other.origin, format!("{} declares it", other.id))
                })))
            }
            None => association.sight(one, &links),
        };
        observation.know(&one.desired.id, sight);
    }
    Ok(())
}

/// The declared rows by their ends.
#[derive(Default)]
struct Declared {
    sources: HashMap<End, Vec<usize>>,
    targets: HashMap<End, Vec<usize>>,
    pairs: HashMap<(End, End), Vec<usize>>,
}

impl Declared {
    fn add(&mut self, at: usize, one: &Wanted<'_>) {
        self.sources.entry(one.source.clone()).or_default().push(at);
        self.targets.entry(one.target.clone()).or_default().push(at);
        self.pairs.entry((one.source.clone(), one.target.clone())).or_default().push(at);
    }

    /// Returns why a declared row and others exclude one another, and those others.
    fn conflict(&self, at: usize, one: &Wanted<'_>, association: &Association<'_>) -> Option<(String, &[usize])> {
        let (name, mapping) = (association.name, association.mapping);
        let pair = (one.source.clone(), one.target.clone());
        let many = |rows: Option<&Vec<usize>>| rows.is_some_and(|rows| rows.len() > 1 && rows.contains(&at));
        let (same, by_target, by_source) =
            (self.pairs.get(&pair), self.targets.get(&one.target), self.sources.get(&one.source));
        let (message, others) = if many(same) {
            ("two rows mean the same pair of instances".to_owned(), same)
        } else if mapping != "n:n" && many(by_target) {
            (format!("`{name}` is {mapping}: a target has one source only"), by_target)
        } else if mapping == "1:1" && many(by_source) {
            (format!("`{name}` is 1:1: a source has one target only"), by_source)
        } else {
            return None;
        };
        others.map(|others| (message, others.as_slice()))
    }
}

fn known<'a>(ends: impl Iterator<Item = &'a End>) -> Vec<i64> {
    let ids: BTreeSet<i64> = ends
        .filter_map(|end| match end {
            End::Id(id) => Some(*id),
            End::Made(_) => None,
        })
        .collect();
    ids.into_iter().collect()
}

fn ends_of(row: &Value) -> Option<(i64, (i64, i64))> {
    Some((row["id"].as_i64()?, (row["bk_inst_id"].as_i64()?, row["bk_asst_inst_id"].as_i64()?)))
}
