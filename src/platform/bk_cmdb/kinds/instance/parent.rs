//! Where new instances of custom layers lie: below the business, or below an instance of the layer above.

use std::collections::{BTreeSet, HashMap};

use serde_json::json;

use super::{layer, model_of, wanted_name};
use crate::{
    diagnostic::Diagnostic,
    diff::identity::Assigned,
    model::{CreateContext, Desired, Ensure, Json, ObservedState, Request, ResourceId, placeholder_in},
    platform::bk_cmdb::{
        kinds::{decode_common, select_instances},
        lookup::{self, LookupError, PARENT, Rows, Selector, is_layer, read_rows},
    },
    provider::{Facts, Observation},
    source::Origin,
};

/// Prefix of what finds the parent of an instance.
pub(super) const PREFIX: &str = "parent.";
/// The business that an instance belongs to.
const BUSINESS: &str = "bk_biz_id";

/// The parent of an instance, as its document names it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Parent {
    /// An instance that is there.
    Id(i64),
    /// An instance that this run creates.
    Made(ResourceId),
}

/// The parents that documents about instances of one model name.
#[derive(Default)]
pub(super) struct Parents<'d> {
    known: HashMap<&'d ResourceId, Parent>,
}

impl Parents<'_> {
    /// Returns true if an instance may be the one of a document: it lies below the parent that the document names.
    pub(super) fn fit(&self, desired: &Desired, row: Option<&Json>) -> bool {
        match self.known.get(&desired.id) {
            None => true,
            Some(Parent::Id(id)) => row.is_some_and(|row| row[PARENT] == json!(id)),
            Some(Parent::Made(_)) => false,
        }
    }
}

/// Returns true if a document names a parent.
pub(super) fn is_declared(desired: &Desired) -> bool {
    given(desired).is_some()
}

fn given(desired: &Desired) -> Option<&Origin> {
    desired.locator.iter().find(|(path, _)| path.starts_with(PREFIX)).map(|(_, value)| &value.origin)
}

/// Returns the model that the instances of a layer lie below, such as `biz`; `None` for models that are no layer.
pub(in crate::platform::bk_cmdb::kinds) fn above(
    model: &str,
    observation: &mut Observation,
    facts: &Facts,
) -> Result<Option<String>, LookupError> {
    let arguments = json!({"condition": {"bk_obj_id": model}});
    let request = Request { operation: "find_object_association", arguments, repeatable: true };
    let rows = read_rows(request, "", observation, facts)?;
    Ok(rows
        .iter()
        .find(|row| layer::is_main_line(row))
        .and_then(|row| row["bk_asst_obj_id"].as_str())
        .map(str::to_owned))
}

/// Returns what is wrong with the place of an instance, given the model above its own.
pub(super) fn problem(desired: &Desired, above: Option<&str>, all: &[&Desired]) -> Option<Diagnostic> {
    let model = model_of(desired);
    let business = desired.locator.get("business");
    let said = |code, message, origin: &Origin| Some(Diagnostic::error(code, message, origin));
    match (above, given(desired)) {
        (None, Some(origin)) => {
            let message = format!("`{model}` is no custom layer of the topology: its instances have no parent");
            said("P156", message, origin)
        }
        (Some("biz"), Some(origin)) => {
            let message = format!("instances of `{model}` lie below the business itself");
            said("P156", message, origin).map(|problem| problem.hint("leave out `parent`: `business` says it all"))
        }
        (Some(above), Some(origin)) => {
            let referred = || {
                let key = desired.locate("parent.ref")?.as_str()?;
                all.iter()
                    .find(|other| other.id.kind == desired.id.kind && &*other.id.key == key)
                    .map(|other| model_of(other))
            };
            let parent = desired.locate("parent.model").and_then(Json::as_str).or_else(referred)?;
            let message = format!("the parent of a `{model}` is an instance of `{above}`, not of `{parent}`");
            if parent == above { None } else { said("P156", message, origin) }
        }
        (Some(above), None) if desired.ensure == Ensure::Present && above != "biz" => {
            let message = format!("a new instance of the layer `{model}` needs `parent`, an instance of `{above}`");
            let hint = format!(
                "write `parent: {{ref: NAME}}`, or `parent: {{model: {above}, match: {{bk_inst_name: NAME}}}}`"
            );
            said("P157", message, &desired.origin).map(|problem| problem.hint(hint))
        }
        (Some(_), None) if desired.ensure == Ensure::Present && business.is_none() => {
            said("P157", format!("a new instance of the layer `{model}` needs `business`"), &desired.origin)
        }
        (Some(_) | None, None) => None,
    }
}

/// Returns what is wrong with the name that a document wants for an instance of a layer (contract section 4.1).
pub(super) fn misnamed(desired: &Desired) -> Option<Diagnostic> {
    let made = decode_common::matched_field(desired, "", super::NAME).filter(|_| desired.ensure == Ensure::Present);
    let given = desired.fields.get(super::NAME).or(made)?;
    let problem = decode_common::name_problem(&given.value)?;
    Some(Diagnostic::error("P158", format!("`{}` of a custom layer {problem}", super::NAME), &given.origin))
}

/// Returns what is wrong with the place and the name of an instance, as far as the definitions tell.
pub(super) fn check(
    document: &Desired,
    all: &[&Desired],
    observation: &mut Observation,
    facts: &Facts,
) -> Result<Vec<Diagnostic>, LookupError> {
    if document.ensure != Ensure::Present && !is_declared(document) {
        return Ok(Vec::new());
    }
    let above = match above(model_of(document), observation, facts) {
        Ok(above) => above,
        Err(LookupError::Failed(_)) if !is_declared(document) => None,
        Err(error) => return Err(error),
    };
    let mut problems: Vec<_> = problem(document, above.as_deref(), all).into_iter().collect();
    problems.extend(above.as_ref().and_then(|_| misnamed(document)));
    if let Some(above) = above.filter(|_| problems.is_empty() && document.locate("parent.model").is_some()) {
        let definition = lookup::definition(&above, observation, facts)?;
        problems
            .extend(select_instances::selectors(document, PREFIX, &definition, facts).err().map(|problem| *problem));
    }
    Ok(problems)
}

/// Finds the parents that documents name. Documents whose parent stays open get an error and are not returned.
pub(super) fn find<'d>(
    model: &str,
    business: Option<i64>,
    documents: &mut Vec<&'d Desired>,
    all: &[&Desired],
    observation: &mut Observation,
    facts: &Facts,
) -> Parents<'d> {
    let mut parents = Parents::default();
    if documents.iter().all(|desired| !is_declared(desired)) {
        return parents;
    }
    let above = above(model, observation, facts);
    documents.retain(|desired| {
        if !is_declared(desired) {
            return true;
        }
        let found = match &above {
            Err(error) => Err(decode_common::observed_after(error, desired)),
            Ok(above) => match problem(desired, above.as_deref(), all) {
                Some(problem) => Err(Some(ObservedState::Impossible(Box::new(problem)))),
                None => resolve(desired, above.as_deref().unwrap_or_default(), business, all, observation, facts),
            },
        };
        match found {
            Ok(parent) => {
                parents.known.insert(&desired.id, parent);
                return true;
            }
            // An instance without a parent does not exist, as its document asks.
            Err(Some(ObservedState::Impossible(_) | ObservedState::Needs(_))) if desired.ensure == Ensure::Absent => {
                observation.know(&desired.id, ObservedState::absent());
            }
            Err(observed) => observation.know_if(&desired.id, observed),
        }
        false
    });
    parents
}

/// Finds the parent of one document in its business; the error is none while it is asked for.
fn resolve(
    desired: &Desired,
    above: &str,
    business: Option<i64>,
    all: &[&Desired],
    observation: &mut Observation,
    facts: &Facts,
) -> Result<Parent, Option<ObservedState>> {
    let origin = given(desired).unwrap_or(&desired.origin);
    let wrong = |code, message: String| Diagnostic::error(code, message, origin);
    let impossible = |problem: Diagnostic| Some(ObservedState::Impossible(Box::new(problem)));
    let selectors = if let Some(name) = desired.locate("parent.ref").and_then(Json::as_str) {
        let Some(document) = all.iter().find(|other| other.id.kind == desired.id.kind && &*other.id.key == name) else {
            let message = format!("Instance/{name} lies on another target, or its document cannot be used");
            return Err(impossible(wrong("P120", message)));
        };
        match facts.observed(&document.id) {
            None => return Err(None),
            Some(ObservedState::Found(live)) => {
                [Selector::Id(live.handle.as_i64().unwrap_or_default())].into_iter().collect()
            }
            Some(ObservedState::Absent { .. }) if document.ensure == Ensure::Present => {
                if document.locate("business") == desired.locate("business") {
                    return Ok(Parent::Made(document.id.clone()));
                }
                let problem = wrong("P156", format!("{} is created in another business", document.id));
                return Err(impossible(problem.hint("give both the same `business`, written alike")));
            }
            Some(_) => return Err(Some(ObservedState::Needs(document.id.clone()))),
        }
    } else {
        let definition = lookup::definition(above, observation, facts)
            .map_err(|error| decode_common::observed_after(&error, desired))?;
        select_instances::selectors(desired, PREFIX, &definition, facts)
            .map_err(|problem| Some(ObservedState::Impossible(problem)))?
    };
    let asked: BTreeSet<Selector> = selectors.iter().cloned().collect();
    let rows = lookup::instances(above, business, &asked, [], observation, facts)
        .map_err(|error| decode_common::observed_after(&error, desired))?;
    let found: BTreeSet<i64> = selectors.iter().flat_map(|selector| rows.find(selector)).collect();
    let mut found = found.into_iter();
    match (found.next(), found.next()) {
        (Some(id), None) => Ok(Parent::Id(id)),
        (Some(first), Some(second)) => {
            let message = format!("several instances of `{above}` fit: #{first}, #{second}");
            Err(Some(ObservedState::Ambiguous(Box::new(wrong("P105", message).hint("give the parent's `id`")))))
        }
        (None, _) => {
            let problem = wrong("P121", format!("no instance of `{above}` in that business fits"));
            Err(impossible(problem.hint("one that another document creates is named by `parent: {ref: NAME}`")))
        }
    }
}

/// Returns what the creation of an instance has to know: its business, and its parent where it is one of a layer.
pub(super) fn context(
    desired: &Desired,
    business: Option<i64>,
    parents: &Parents<'_>,
    all: &[&Desired],
    observation: &mut Observation,
    facts: &Facts,
) -> Result<CreateContext, Option<ObservedState>> {
    let mut context = CreateContext::default();
    if let Some(business) = business {
        context.set(BUSINESS, json!(business));
    }
    let above = match above(model_of(desired), observation, facts) {
        Ok(above) => above,
        Err(LookupError::Pending) => return Err(None),
        // The server makes no instance of a layer without a parent: it has the last word.
        Err(LookupError::Failed(_) | LookupError::NoModel) => None,
    };
    let problems = problem(desired, above.as_deref(), all).or_else(|| above.as_ref().and_then(|_| misnamed(desired)));
    if let Some(problem) = problems {
        return Err(Some(ObservedState::Impossible(Box::new(problem))));
    }
    match (above, parents.known.get(&desired.id), business) {
        (_, Some(Parent::Id(id)), _) => context.set(PARENT, json!(id)),
        (_, Some(Parent::Made(id)), _) => context.set_made(PARENT, id),
        (Some(_), None, Some(business)) => context.set(PARENT, json!(business)),
        (_, None, _) => {}
    }
    Ok(context)
}

/// Returns the contexts of the instances that documents create, or why they have none; nothing while one is asked for.
pub(super) fn contexts<'d>(
    group: &super::unique_keys::Group<'_, 'd, '_>,
    parents: &Parents<'_>,
    all: &[&Desired],
    observation: &mut Observation,
    facts: &Facts,
) -> Option<HashMap<&'d ResourceId, Result<CreateContext, ObservedState>>> {
    let created = group.documents.iter().zip(group.assigned);
    let created =
        created.filter(|(desired, assigned)| desired.ensure == Ensure::Present && **assigned == Assigned::Nothing);
    let mut contexts = HashMap::new();
    let mut is_known = true;
    for (desired, _) in created {
        match context(desired, group.business, parents, all, observation, facts) {
            Ok(context) => _ = contexts.insert(&desired.id, Ok(context)),
            Err(Some(observed)) => _ = contexts.insert(&desired.id, Err(observed)),
            Err(None) => is_known = false,
        }
    }
    is_known.then_some(contexts)
}

/// Returns true if two instances of a model may not have one name: those of a layer only where they share a parent.
pub(super) fn shares_names(parent: &Json, holder: i64, rows: &[&Rows<'_>]) -> bool {
    let of_holder = rows.iter().find_map(|rows| rows.row(holder)).map_or(&Json::NULL, |row| &row[PARENT]);
    (placeholder_in(parent).is_none() && !is_layer(parent)) || parent == of_holder
}

/// Returns why an instance that is there cannot get its declared name; `None` if it can.
pub(super) fn refused_name(desired: &Desired, row: &Json) -> Option<ObservedState> {
    let is_new = wanted_name(desired).is_some_and(|name| row[super::NAME] != name);
    let problem = misnamed(desired).filter(|_| is_new && desired.ensure != Ensure::Absent && is_layer(&row[PARENT]))?;
    Some(ObservedState::Impossible(Box::new(problem)))
}
