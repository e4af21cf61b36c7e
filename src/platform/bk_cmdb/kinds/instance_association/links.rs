//! The rows that are there, and what the mapping of an association (1:1, 1:n, n:n) allows beside them.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::LazyLock,
};

use serde_json::json;

use super::{Wanted, ends::End};
use crate::{
    diagnostic::Diagnostic,
    model::{
        ARROW, CreateContext, Desired, Ensure, Json, KeyConflict, Layout, Live, LiveFields, ObservedState, Request,
    },
    platform::bk_cmdb::lookup::{LookupError, Selector, check_page, instances, read_rows},
    provider::{Facts, Observation, Read},
};

/// The keys of a handle.
static HANDLE: LazyLock<Layout> =
    LazyLock::new(|| Layout::new(&["id", "mapping", "model", "source", "target", "targetModel"]));

/// Most values of one `in`, and most rows of one page.
pub(super) const PAGE: usize = 500;

/// Reads rows of associations by the model at one of their ends: all, or those with given values in a field.
pub(super) fn rows<'f>(
    model: &str,
    association: Option<&str>,
    among: Option<(&str, &[i64])>,
    observation: &mut Observation,
    facts: &'f Facts,
) -> Result<Vec<&'f Json>, LookupError> {
    let mut found = Vec::new();
    loop {
        let request = search(model, association, among, found.len());
        let page = match observation.read(request, facts) {
            Read::Pending => return Err(LookupError::Pending),
            // Before 3.10: all of them at once.
            Read::Failed(refusal) if refusal.is_absent() => {
                return read_rows(find(model, association, among), "", observation, facts);
            }
            Read::Failed(refusal) => return Err(LookupError::Failed(refusal.to_string())),
            Read::Value(data) => data["info"].as_array().into_iter().flatten().collect::<Vec<_>>(),
        };
        check_page(&found, &page)?;
        found.extend(&page);
        if page.len() < PAGE {
            return Ok(found);
        }
    }
}

/// The search of 3.10 and later.
fn search(model: &str, association: Option<&str>, among: Option<(&str, &[i64])>, start: usize) -> Request {
    let mut rules = Vec::new();
    rules.extend(association.map(|name| json!({"field": "bk_obj_asst_id", "operator": "equal", "value": name})));
    rules.extend(among.map(|(field, values)| json!({"field": field, "operator": "in", "value": values})));
    Request {
        operation: "search_instance_associations",
        arguments: json!({"bk_obj_id": model, "conditions": {"condition": "AND", "rules": rules},
            "fields": ["id", "bk_inst_id", "bk_asst_inst_id"], "page": {"start": start, "limit": PAGE, "sort": "id"}}),
        repeatable: true,
    }
}

/// The search of rows with sources behind one, in the order of their sources.
fn search_behind(association: &Association<'_>, after: i64) -> Request {
    let mut request = search(association.source_model, Some(association.name), None, 0);
    let behind = json!({"field": "bk_inst_id", "operator": "greater", "value": after});
    if let Some(rules) = request.arguments["conditions"]["rules"].as_array_mut() {
        rules.push(behind);
    }
    request.arguments["page"]["sort"] = json!("bk_inst_id");
    request
}

/// The search that all versions have. It knows no pages.
fn find(model: &str, association: Option<&str>, among: Option<(&str, &[i64])>) -> Request {
    let mut condition = among.map_or(json!({}), |(field, values)| json!({field: {"$in": values}}));
    if let Some(name) = association {
        condition["bk_obj_asst_id"] = json!(name);
    }
    let arguments = json!({"bk_obj_id": model, "condition": condition});
    Request { operation: "find_instance_association", arguments, repeatable: true }
}

/// The live rows that declared ones could meet.
struct Links {
    ids: BTreeMap<(i64, i64), i64>,
    by_claim: HashMap<String, Vec<i64>>,
}

impl Links {
    /// Returns the rows that have what only one row can have.
    fn holders(&self, claim: &str) -> &[i64] {
        self.by_claim.get(claim).map(Vec::as_slice).unwrap_or_default()
    }
}

/// One association between models.
struct Association<'a> {
    name: &'a str,
    source_model: &'a str,
    target_model: &'a str,
    mapping: &'a str,
}

impl<'a> Association<'a> {
    fn of(definition: &'a Json) -> Self {
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
    fn read(&self, group: &[Wanted<'_>], observation: &mut Observation, facts: &Facts) -> Result<Links, LookupError> {
        let mut asked = vec![("bk_inst_id", known(group.iter().map(|wanted| &wanted.source)))];
        if self.mapping != "n:n" {
            asked.push(("bk_asst_inst_id", known(group.iter().map(|wanted| &wanted.target))));
        }
        let mut rows: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
        let mut error = None;
        for (field, ids) in &asked {
            for chunk in ids.chunks(PAGE) {
                match self::rows(self.source_model, Some(self.name), Some((field, chunk)), observation, facts) {
                    Ok(found) => rows.extend(found.iter().filter_map(|row| ends_of(row))),
                    Err(LookupError::Pending) => error = error.or(Some(LookupError::Pending)),
                    Err(other) => error = Some(other),
                }
            }
        }
        if let Some(error) = error {
            return Err(error);
        }
        let mut links = Links { ids: rows.iter().map(|(id, ends)| (*ends, *id)).collect(), by_claim: HashMap::new() };
        for (id, (source, target)) in &rows {
            for claim in unique_keys(self.name, &self.handle(*source, *target, *id)) {
                links.by_claim.entry(claim).or_default().push(*id);
            }
        }
        Ok(links)
    }

    /// Says what is known of a row that no other declared row forbids.
    fn observed(&self, wanted: &Wanted<'_>, links: &Links) -> ObservedState {
        if let (End::Id(source), End::Id(target)) = (&wanted.source, &wanted.target)
            && let Some(id) = links.ids.get(&(*source, *target))
        {
            return ObservedState::Found(live(self.handle(*source, *target, *id)));
        }
        let labels = [(&wanted.source, self.source_model), (&wanted.target, self.target_model)];
        let mut context = CreateContext::new(json!({"model": self.source_model, "targetModel": self.target_model,
            "mapping": self.mapping}));
        wanted.source.put("source", &mut context);
        wanted.target.put("target", &mut context);
        context.depends_on = labels.iter().filter_map(|(end, model)| Some(format!("{model} #{}", end.id()?))).collect();
        let key_conflicts = unique_keys(self.name, context.handle())
            .into_iter()
            .flat_map(|claim| links.holders(&claim).iter().map(move |id| (claim.clone(), id)))
            .map(|(claim, id)| KeyConflict { claim, holder: label(*id) })
            .collect();
        ObservedState::Absent { nearest: Vec::new(), key_conflicts, context }
    }

    fn handle(&self, source: i64, target: i64, id: i64) -> Json {
        let [mapping, model, target_model] = [self.mapping, self.source_model, self.target_model].map(Json::from);
        HANDLE.object([id.into(), mapping, model, source.into(), target.into(), target_model])
    }

    /// Returns the live rows that documents with `mode: exact` ask to remove: other rows of their sources, and rows by
    /// which undeclared sources hold their targets. No document names them.
    fn surplus(&self, group: &[Wanted<'_>], links: &Links) -> Vec<(Desired, Live)> {
        let exact = |wanted: &&Wanted<'_>| wanted.desired.locate("mode").is_some_and(|mode| mode == "exact");
        let named: HashSet<(i64, i64)> = group.iter().filter_map(Wanted::pair).collect();
        let declared: HashSet<i64> = group.iter().filter_map(|wanted| wanted.source.id()).collect();
        let by_source: HashMap<i64, &Wanted<'_>> =
            group.iter().filter(exact).filter_map(|wanted| Some((wanted.source.id()?, wanted))).collect();
        let by_target: HashMap<i64, &Wanted<'_>> =
            group.iter().filter(exact).filter_map(|wanted| Some((wanted.target.id()?, wanted))).collect();
        let mut surplus = Vec::new();
        for ((source, target), id) in links.ids.iter().filter(|(ends, _)| !named.contains(*ends)) {
            let taken = self.mapping != "n:n" && !declared.contains(source);
            let (wanted, whose) = match (by_source.get(source), by_target.get(target).filter(|_| taken)) {
                (Some(wanted), _) => (wanted, String::new()),
                (None, Some(wanted)) => (wanted, format!("{} #{source}{ARROW}", self.source_model)),
                (None, None) => continue,
            };
            let part = format!("{whose}{} #{target}", self.target_model);
            let mode = wanted.desired.locator.get("mode");
            let desired = Desired {
                id: wanted.desired.id.with_part(part),
                ensure: Ensure::Absent,
                references: Vec::new(),
                origin: mode.map_or(&wanted.desired.origin, |mode| &mode.origin).clone(),
                ..wanted.desired.clone()
            };
            surplus.push((desired, live(self.handle(*source, *target, *id))));
        }
        surplus
    }
}

/// Returns what a row alone can have, in words, by the mapping in its handle or context.
pub(super) fn unique_keys(association: &str, ends: &Json) -> Vec<String> {
    let target = || format!("the target {} #{} of `{association}`", text(&ends["targetModel"]), text(&ends["target"]));
    let source = || format!("the source {} #{} of `{association}`", text(&ends["model"]), text(&ends["source"]));
    match ends["mapping"].as_str() {
        Some("1:1") => vec![target(), source()],
        Some("1:n") => vec![target()],
        _ => Vec::new(),
    }
}

fn text(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn label(id: i64) -> String {
    format!("association #{id}")
}

/// Returns a live row of a handle.
pub(super) fn live(handle: Json) -> Live {
    let end = |model: &str, id: &str| format!("{} #{}", text(&handle[model]), handle[id]);
    let label = label(handle["id"].as_i64().unwrap_or_default());
    let ends = [end("model", "source"), end("targetModel", "target")];
    Live::new(handle, label, LiveFields::new()).depending_on(ends)
}

/// Adds the names of their ends to rows that are to be removed, as far as they can be read. Only waiting for an answer
/// is an error: without a name people see the number.
pub(super) fn name_ends<'l>(
    rows: impl Iterator<Item = &'l mut Live>,
    observation: &mut Observation,
    facts: &Facts,
) -> Result<(), LookupError> {
    let rows: Vec<&mut Live> = rows.collect();
    let mut wanted: BTreeMap<String, BTreeSet<Selector>> = BTreeMap::new();
    for (model, id, _) in rows.iter().flat_map(|row| ends_with_ids(&row.handle)) {
        wanted.entry(model).or_default().insert(Selector::Id(id));
    }
    let mut names: HashMap<(String, i64), String> = HashMap::new();
    let mut pending = false;
    for (model, selectors) in wanted {
        let found = instances(&model, None, &selectors, [], observation, facts);
        pending |= matches!(found, Err(LookupError::Pending));
        let Ok(found) = found else { continue };
        for id in selectors.iter().filter_map(|selector| if let Selector::Id(id) = selector { Some(*id) } else { None })
        {
            let name = found.row(id).and_then(|row| row["bk_inst_name"].as_str());
            names.extend(name.map(|name| ((model.clone(), id), name.to_owned())));
        }
    }
    if pending {
        return Err(LookupError::Pending);
    }
    for row in rows {
        let ends = ends_with_ids(&row.handle);
        let known = ends.into_iter().filter_map(|(model, id, end)| Some((end, names.get(&(model, id))?.clone())));
        let known: Vec<_> = known.collect();
        row.relate(|own| own.end_names.extend(known));
    }
    Ok(())
}

/// Returns model, id and name of both ends of a row.
fn ends_with_ids(handle: &Json) -> Vec<(String, i64, &'static str)> {
    let ends = [("model", "source"), ("targetModel", "target")];
    ends.into_iter().filter_map(|(model, end)| Some((text(&handle[model]), handle[end].as_i64()?, end))).collect()
}

/// Reads all rows of an association.
pub(super) fn all(definition: &Json, observation: &mut Observation, facts: &Facts) -> Result<Vec<Live>, LookupError> {
    let association = Association::of(definition);
    let rows = rows(association.source_model, Some(association.name), None, observation, facts)?;
    let row = |row: &&Json| ends_of(row).map(|(id, (source, target))| live(association.handle(source, target, id)));
    Ok(rows.iter().filter_map(row).collect())
}

/// Rows of an association.
pub(super) struct Sources {
    /// All rows of each of some sources.
    pub(super) rows: Vec<Live>,
    /// The last of these sources; `None` if there are no others.
    pub(super) last: Option<i64>,
    /// The reads that give no other rows.
    pub(super) read: Vec<Request>,
}

/// Reads rows of an association whose sources lie behind one: all rows of as many sources as a page has.
pub(super) fn behind(
    definition: &Json,
    after: i64,
    observation: &mut Observation,
    facts: &Facts,
) -> Result<Sources, LookupError> {
    let association = Association::of(definition);
    let request = search_behind(&association, after);
    let page = match observation.read(request.clone(), facts) {
        Read::Pending => return Err(LookupError::Pending),
        Read::Failed(refusal) if refusal.is_absent() => None,
        Read::Failed(refusal) => return Err(LookupError::Failed(refusal.to_string())),
        Read::Value(data) => Some(data["info"].items()),
    };
    let source = |row: &Json| row["bk_inst_id"].as_i64().unwrap_or_default();
    // One that sorts them otherwise would leave rows of a source to a later page.
    let Some(page) = page.filter(|page| page.is_sorted_by_key(&source) && page.iter().all(|row| source(row) > after))
    else {
        return Ok(Sources { rows: all(definition, observation, facts)?, last: None, read: Vec::new() });
    };
    let live = |row: &Json| ends_of(row).map(|(id, (source, target))| live(association.handle(source, target, id)));
    let Some(cut) = page.last().filter(|_| page.len() >= PAGE).map(source) else {
        return Ok(Sources { rows: page.iter().filter_map(live).collect(), last: None, read: vec![request] });
    };
    // The page may hold not all rows of its last source.
    let whole: Vec<&Json> = page.iter().filter(|row| source(row) < cut).collect();
    if let Some(last) = whole.last().map(|row| source(row)) {
        return Ok(Sources {
            rows: whole.into_iter().filter_map(live).collect(),
            last: Some(last),
            read: vec![request],
        });
    }
    let cut_source = [cut];
    let among = Some(("bk_inst_id", cut_source.as_slice()));
    let rows = rows(association.source_model, Some(association.name), among, observation, facts)?;
    Ok(Sources { rows: rows.into_iter().filter_map(live).collect(), last: Some(cut), read: vec![request] })
}

/// Says of the rows of one association which are there and which can be made.
pub(super) fn observe_links(
    definition: &Json,
    group: &[Wanted<'_>],
    observation: &mut Observation,
    facts: &Facts,
) -> Result<(), LookupError> {
    let association = Association::of(definition);
    let links = association.read(group, observation, facts)?;
    let mut declared = Declared::default();
    for (at, row) in group.iter().enumerate().filter(|(_, wanted)| wanted.desired.ensure != Ensure::Absent) {
        declared.add(at, row);
    }
    let mut surplus = association.surplus(group, &links);
    name_ends(surplus.iter_mut().map(|(_, live)| live), observation, facts)?;
    observation.surplus.extend(surplus);
    for (at, wanted) in group.iter().enumerate() {
        let observed = match declared.conflict(at, wanted, &association) {
            Some((message, others)) => {
                let diagnostic = Diagnostic::error("P124", message, &wanted.desired.origin);
                let others = others.iter().filter(|other| **other != at).map(|other| group[*other].desired);
                ObservedState::Impossible(Box::new(others.fold(diagnostic, |diagnostic, other| {
                    diagnostic.also(&other.origin, format!("{} declares it", other.id))
                })))
            }
            None => association.observed(wanted, &links),
        };
        observation.know(&wanted.desired.id, observed);
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
    fn add(&mut self, at: usize, wanted: &Wanted<'_>) {
        self.sources.entry(wanted.source.clone()).or_default().push(at);
        self.targets.entry(wanted.target.clone()).or_default().push(at);
        self.pairs.entry((wanted.source.clone(), wanted.target.clone())).or_default().push(at);
    }

    /// Returns why a declared row and others exclude one another, and those others.
    fn conflict(&self, at: usize, wanted: &Wanted<'_>, association: &Association<'_>) -> Option<(String, &[usize])> {
        let (name, mapping) = (association.name, association.mapping);
        let pair = (wanted.source.clone(), wanted.target.clone());
        let many = |rows: Option<&Vec<usize>>| rows.is_some_and(|rows| rows.len() > 1 && rows.contains(&at));
        let (same, by_target, by_source) =
            (self.pairs.get(&pair), self.targets.get(&wanted.target), self.sources.get(&wanted.source));
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

fn ends_of(row: &Json) -> Option<(i64, (i64, i64))> {
    Some((row["id"].as_i64()?, (row["bk_inst_id"].as_i64()?, row["bk_asst_inst_id"].as_i64()?)))
}
