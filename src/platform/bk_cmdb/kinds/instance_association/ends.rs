//! The ends of rows: which instances they are, whether the run creates them.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use serde_json::json;

use crate::{
    diagnostic::Diagnostic,
    model::{CreateContext, Desired, Ensure, Json, ObservedState, ResourceId},
    platform::bk_cmdb::{
        attribute::Definition,
        kinds::{
            decode_common,
            instance::{BUILT_IN, NAME, model_of},
            select_instances::{self, ByModel, Gathered},
        },
        lookup::{self, LookupError, Rows, Selector},
    },
    provider::{Facts, Observation},
};

/// The kind of documents that ends refer to.
const INSTANCE: &str = "Instance";

/// Returns the documents that give another key to instances of the models that rows find their ends in.
pub(super) fn implicit_dependencies<'d>(rows: &[&Desired], all: &[&'d Desired]) -> Vec<&'d Desired> {
    let models: BTreeSet<&str> = rows
        .iter()
        .flat_map(|row| ["source.", "target."].map(|prefix| (row, prefix)))
        .filter(|(row, prefix)| decode_common::matched(row, prefix).next().is_some())
        .filter_map(|(row, prefix)| row.locate(&format!("{prefix}model"))?.as_str())
        .collect();
    let is_moved = |desired: &Desired| {
        let mut keys = decode_common::matched(desired, "");
        keys.any(|(name, was)| desired.field(name).is_some_and(|wanted| *wanted != was.value))
    };
    let tells =
        |desired: &Desired| desired.id.kind == INSTANCE && models.contains(model_of(desired)) && is_moved(desired);
    if models.is_empty() { Vec::new() } else { all.iter().copied().filter(|desired| tells(desired)).collect() }
}

/// The result of looking up an end.
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

    /// Puts the id into the context of a row, or what stands for it.
    pub(super) fn put(&self, key: &str, context: &mut CreateContext) {
        match self {
            Self::Id(id) => context.set(key, json!(id)),
            Self::Made(id) => context.set_made(key, id),
        }
    }
}

/// Everything that can be known of the ends of the rows so far.
pub(super) struct Ends<'f, 'd> {
    models: BTreeMap<&'d str, Result<Model<'f, 'd>, LookupError>>,
    documents: HashMap<&'d ResourceId, &'d Desired>,
    facts: &'f Facts,
}

/// The known instances of a model.
struct Model<'f, 'd> {
    definition: Arc<Definition>,
    rows: Rows<'f>,
    /// The documents by the keys that their instances are to have, and by those that they had.
    wanted: BTreeMap<Selector, Vec<&'d Desired>>,
    former: BTreeMap<Selector, Vec<&'d Desired>>,
}

impl<'f, 'd> Model<'f, 'd> {
    fn of(
        model: &str,
        (all, by_model): (&[&'d Desired], &ByModel<'d>),
        observation: &mut Observation,
        facts: &'f Facts,
    ) -> Result<Self, LookupError> {
        let definition = lookup::definition(model, observation, facts)?;
        let mut gathered = Gathered::of(model, by_model, &definition, facts);
        let fields = std::mem::take(&mut gathered.fields);
        let rows = lookup::instances(model, None, gathered.selectors(), fields, observation, facts)?;
        let (mut wanted, mut former): (BTreeMap<_, Vec<_>>, BTreeMap<_, Vec<_>>) = Default::default();
        for document in all.iter().filter(|desired| desired.id.kind == INSTANCE && model_of(desired) == model) {
            let keys = select_instances::selectors(document, "", &definition, facts).unwrap_or_default();
            if let (Some(old), Some(new)) = (keys.first(), keys.last()) {
                former.entry(old.clone()).or_default().push(*document);
                wanted.entry(new.clone()).or_default().push(*document);
            }
        }
        Ok(Self { definition, rows, wanted, former })
    }

    /// Returns the document whose instance a key means. The manifests say how things are to be, so the key that an
    /// instance is to have comes first; the one it had counts where nothing else has it.
    fn document(&self, selector: &Selector) -> Option<&'d Desired> {
        let only = |found: &BTreeMap<Selector, Vec<&'d Desired>>| match found.get(selector).map(Vec::as_slice) {
            Some([only]) => Some(*only),
            _ => None,
        };
        only(&self.wanted).or_else(|| only(&self.former).filter(|_| self.rows.find(selector).is_empty()))
    }
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
            .flat_map(|desired| {
                ["source.model", "target.model"].map(|path| desired.locate(path).and_then(Json::as_str))
            })
            .flatten()
            .filter(|model| BUILT_IN.iter().all(|(name, _)| name != model))
            .collect();
        let by_model = ByModel::of(all);
        let models = models.into_iter();
        let models = models.map(|model| (model, Model::of(model, (all, &by_model), observation, facts))).collect();
        let named: BTreeSet<&ResourceId> =
            desired.iter().flat_map(|desired| &desired.references).map(|reference| &reference.to).collect();
        let documents =
            all.iter().filter(|desired| named.contains(&desired.id)).map(|desired| (&desired.id, *desired)).collect();
        Self { models, documents, facts }
    }

    /// Returns the instance of a document; nothing while it is not known yet.
    fn of_document(&self, document: &'d Desired) -> Result<Option<(&'d str, End)>, ObservedState> {
        match self.facts.observed(&document.id) {
            None => Ok(None),
            Some(ObservedState::Found(live)) => {
                let handle = live.handle.as_i64().unwrap_or_default();
                Ok(Some((model_of(document), End::Id(handle))))
            }
            Some(ObservedState::Absent { .. }) if document.ensure == Ensure::Present => {
                Ok(Some((model_of(document), End::Made(document.id.clone()))))
            }
            Some(_) => Err(ObservedState::Needs(document.id.clone())),
        }
    }

    /// Returns the model and the instance of an end; nothing while it is not known yet.
    pub(super) fn find(
        &self,
        desired: &'d Desired,
        prefix: &str,
        observation: &mut Observation,
    ) -> Result<Option<(&'d str, End)>, ObservedState> {
        let path = |key: &str| format!("{prefix}{key}");
        if let Some(name) = desired.locator.get(&*path("ref")) {
            let id = ResourceId::new(INSTANCE, name.value.as_str().unwrap_or_default());
            let Some(document) = self.documents.get(&id) else {
                let message = format!("{id} lies on another target, or its document cannot be used");
                return Err(ObservedState::Impossible(Box::new(Diagnostic::error("P120", message, &name.origin))));
            };
            return self.of_document(document);
        }
        let model = desired.locate(&path("model")).and_then(Json::as_str).unwrap_or_default();
        let Some(known) = self.models.get(model) else {
            let id = desired.locate(&path("id")).and_then(Json::as_i64).unwrap_or_default();
            return Ok(Some((model, End::Id(id))));
        };
        let place = desired.locator.iter().find(|(path, _)| path.starts_with(prefix));
        let place = place.map_or(&desired.origin, |(_, value)| &value.origin);
        match known {
            Err(LookupError::Pending) => Ok(None),
            Err(LookupError::Failed(why)) => Err(ObservedState::Unknown(why.clone())),
            Err(LookupError::NoModel) => {
                Err(ObservedState::Impossible(Box::new(decode_common::no_model(model, place))))
            }
            Ok(Model { definition, rows, .. }) => {
                let selectors = select_instances::selectors(desired, prefix, definition, self.facts)
                    .map_err(ObservedState::Impossible)?;
                let document = selectors.first().and_then(|selector| known.as_ref().ok()?.document(selector));
                if let Some(document) = document {
                    return self.of_document(document);
                }
                let found: BTreeSet<i64> = selectors.iter().flat_map(|selector| rows.find(selector)).collect();
                let mut found = found.into_iter();
                match (found.next(), found.next()) {
                    (Some(id), None) => Ok(Some((model, End::Id(id)))),
                    (Some(first), Some(second)) => {
                        let message = format!("several instances of `{model}` fit: #{first}, #{second}");
                        Err(ObservedState::Ambiguous(Box::new(Diagnostic::error("P105", message, place))))
                    }
                    (None, _) => {
                        let mut diagnostic = Diagnostic::error("P121", format!("no instance of `{model}` fits"), place);
                        let matched = decode_common::matched_field(desired, prefix, NAME);
                        if let Some(name) = matched.and_then(|name| name.value.as_str()) {
                            let Some(names) = lookup::some_names(model, observation, self.facts) else {
                                return Ok(None);
                            };
                            diagnostic = decode_common::nearest(diagnostic, name, &names);
                        }
                        Err(ObservedState::Impossible(Box::new(diagnostic)))
                    }
                }
            }
        }
    }
}
