//! The ends of rows: which instances they are, whether the run creates them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Value, json};

use crate::{
    diagnostic::Diagnostic,
    kind::{Facts, Observation},
    model::{Desired, Ensure, ResourceId, Sight},
    platform::bk_cmdb::{
        kinds::{
            instance::{BUILT_IN, model_of},
            pick::{self, Gathered},
            spec,
        },
        lookup::{self, Rows, Trouble},
    },
};

/// What an end came to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum End {
    /// An instance that is there.
    Id(i64),
    /// An instance that this run creates.
    Made(ResourceId),
}

impl End {
    /// Returns the id of an instance that is there.
    pub(super) fn id(&self) -> Option<i64> {
        match self {
            Self::Id(id) => Some(*id),
            Self::Made(_) => None,
        }
    }

    /// Returns the id for a call, or what stands for it.
    pub(super) fn argument(&self) -> Value {
        match self {
            Self::Id(id) => json!(id),
            Self::Made(id) => json!({"$handle": id.to_string()}),
        }
    }
}

/// Everything that can be known of the ends of the rows so far.
pub(super) struct Ends<'f, 'd> {
    rows: BTreeMap<&'d str, Result<(pick::Definition<'f>, Rows<'f>), Trouble>>,
    documents: HashMap<&'d ResourceId, &'d Desired>,
    facts: &'f Facts,
}

impl<'f, 'd> Ends<'f, 'd> {
    pub(super) fn of(
        desired: &[&'d Desired],
        all: &[&'d Desired],
        observation: &mut Observation,
        facts: &'f Facts,
    ) -> Self {
        let models: BTreeSet<&str> = desired
            .iter()
            .flat_map(|one| ["source.model", "target.model"].map(|path| one.locate(path).and_then(Value::as_str)))
            .flatten()
            .filter(|model| BUILT_IN.iter().all(|(name, _)| name != model))
            .collect();
        let mut rows = BTreeMap::new();
        for model in models {
            let found = lookup::definition(model, observation, facts).and_then(|definition| {
                let gathered = Gathered::of(model, all, &definition, facts);
                let rows = lookup::instances(model, None, &gathered.selectors, &gathered.fields, observation, facts)?;
                Ok((definition, rows))
            });
            rows.insert(model, found);
        }
        let named: BTreeSet<&ResourceId> = desired.iter().flat_map(|one| &one.references).map(|one| &one.to).collect();
        let documents = all.iter().filter(|one| named.contains(&one.id)).map(|one| (&one.id, *one)).collect();
        Self { rows, documents, facts }
    }

    /// Returns the model and the instance of an end; nothing while it is not known yet.
    pub(super) fn find(
        &self,
        desired: &'d Desired,
        prefix: &str,
        observation: &mut Observation,
    ) -> Result<Option<(&'d str, End)>, Sight> {
        let path = |key: &str| format!("{prefix}{key}");
        if let Some(name) = desired.locator.get(&*path("ref")) {
            let id = ResourceId { kind: "Instance", key: name.value.as_str().unwrap_or_default().into() };
            let Some(document) = self.documents.get(&id) else {
                let message = format!("{id} lies on another target, or its document cannot be used");
                return Err(Sight::Impossible(Box::new(Diagnostic::error("P120", message, &name.origin))));
            };
            return match self.facts.sight(&id) {
                None => Ok(None),
                Some(Sight::Found(live)) => {
                    let handle = live.handle.as_i64().unwrap_or_default();
                    Ok(Some((model_of(document), End::Id(handle))))
                }
                Some(Sight::Absent { .. }) if document.ensure == Ensure::Present => {
                    Ok(Some((model_of(document), End::Made(id))))
                }
                Some(_) => Err(Sight::Needs(id)),
            };
        }
        let model = desired.locate(&path("model")).and_then(Value::as_str).unwrap_or_default();
        let Some(rows) = self.rows.get(model) else {
            let id = desired.locate(&path("id")).and_then(Value::as_i64).unwrap_or_default();
            return Ok(Some((model, End::Id(id))));
        };
        let place = desired.locator.iter().find(|(path, _)| path.starts_with(prefix));
        let place = place.map_or(&desired.origin, |(_, value)| &value.origin);
        match rows {
            Err(Trouble::Pending) => Ok(None),
            Err(Trouble::Failed(why)) => Err(Sight::Unknown(why.clone())),
            Err(Trouble::NoModel) => {
                let message = format!("the model `{model}` does not exist");
                Err(Sight::Impossible(Box::new(Diagnostic::error("P102", message, place))))
            }
            Ok((definition, rows)) => {
                let selectors = pick::selectors(desired, prefix, definition, self.facts).map_err(Sight::Impossible)?;
                let found: BTreeSet<i64> = selectors.iter().flat_map(|selector| rows.find(selector)).collect();
                let mut found = found.into_iter();
                match (found.next(), found.next()) {
                    (Some(id), None) => Ok(Some((model, End::Id(id)))),
                    (Some(first), Some(second)) => {
                        let message = format!("several instances of `{model}` fit: #{first}, #{second}");
                        Err(Sight::Ambiguous(Box::new(Diagnostic::error("P105", message, place))))
                    }
                    (None, _) => {
                        let mut diagnostic = Diagnostic::error("P121", format!("no instance of `{model}` fits"), place);
                        if let Some(name) = desired.locate(&path("match.bk_inst_name")).and_then(Value::as_str) {
                            let Some(names) = lookup::some_names(model, observation, self.facts) else {
                                return Ok(None);
                            };
                            diagnostic = spec::nearest(diagnostic, name, &names);
                        }
                        Err(Sight::Impossible(Box::new(diagnostic)))
                    }
                }
            }
        }
    }
}
