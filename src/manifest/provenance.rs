//! How values came about: which variables are in them, which overlay decided them, and over what.

mod scalars;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use scalars::Scalars;

use crate::{
    manifest::variables::Given,
    model::{Action, ResourceId},
    source::{FileId, Origin},
    yaml::{Content, Node},
};

/// A variable in a scalar.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Use {
    /// Its name.
    pub name: Arc<str>,
    /// Where its value came from.
    pub given: Given,
    /// Its value.
    pub text: Arc<str>,
    /// The scalar is nothing but the variable.
    pub is_whole: bool,
}

impl Use {
    /// Returns the value of a values file that it stands for.
    fn given_at(&self) -> Option<&Origin> {
        match &self.given {
            Given::Values(at) => Some(at),
            Given::Set | Given::Environment | Given::Default => None,
        }
    }
}

/// One step on the way of a value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Via {
    /// A variable is in it.
    Variable(Use),
    /// An overlay decided it.
    Overlay {
        /// The overlay's path as it was given.
        directory: Arc<str>,
        /// The value that it replaced, if there was one.
        over: Option<Origin>,
    },
}

/// A key that settles what is to become of the objects of a document as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Setting {
    Target,
    Ensure,
    Protect,
    Policy,
    FieldPolicy,
    Suspend,
}

impl Setting {
    /// Returns its name for people.
    fn name(self) -> &'static str {
        match self {
            Self::Target => "metadata.target",
            Self::Ensure => "ensure",
            Self::Protect => "protect",
            Self::Policy => "policy",
            Self::FieldPolicy => "fieldPolicy",
            Self::Suspend => "suspend",
        }
    }
}

/// Where a document says what is to become of its objects as a whole, in the order of [`Setting`].
#[derive(Debug, Clone, Default)]
pub(super) struct Settings(Vec<(Setting, Origin)>);

impl Settings {
    /// Reads them from a document.
    pub(super) fn of(root: &Node<'_>) -> Self {
        let (metadata, spec) = (root.get("metadata"), root.get("spec"));
        let place = |setting: Setting, part: Option<&Node<'_>>, key: &str| {
            part.and_then(|part| part.get(key)).map(|node| (setting, node.origin.clone()))
        };
        let fields = spec.and_then(|spec| spec.get("fieldPolicy")).into_iter().flat_map(Node::entries);
        let objects = [
            place(Setting::Target, metadata, "target"),
            place(Setting::Ensure, spec, "ensure"),
            place(Setting::Protect, spec, "protect"),
            place(Setting::Policy, spec, "policy"),
        ];
        let fields = fields.map(|(_, node)| (Setting::FieldPolicy, node.origin.clone()));
        let suspension = spec.and_then(|spec| spec.get("suspend")).into_iter().flat_map(Node::entries);
        let suspension = suspension.map(|(_, node)| (Setting::Suspend, node.origin.clone()));
        Self(objects.into_iter().flatten().chain(fields).chain(suspension).collect())
    }
}

/// How the values of all documents came about, by the places that they are written at.
#[derive(Debug, Clone, Default)]
pub struct Provenance {
    /// Variables in scalars.
    uses: HashMap<Origin, Vec<Use>>,
    /// The files of overlays and the overlays that they belong to.
    overlays: HashMap<FileId, Arc<str>>,
    /// Values of overlays and the values that they replaced. One that several aliases brought in replaces several.
    over: HashMap<Origin, Vec<Origin>>,
    /// The bytes of the scalars in force of each file.
    scalars: BTreeMap<FileId, Scalars>,
    /// Lists and mappings with scalars that are written elsewhere (by an alias, a merge, an overlay), and all of these.
    scattered: HashMap<Origin, Vec<Origin>>,
    settings: HashMap<ResourceId, Settings>,
    /// The variables that values name, with a value or without.
    mentioned: BTreeSet<String>,
    /// Aliases and the scalars that they stand for.
    aliases: HashMap<Origin, Origin>,
}

impl Provenance {
    /// Returns the names of all variables that the documents use.
    pub fn mentioned(&self) -> &BTreeSet<String> {
        &self.mentioned
    }

    /// Notes that a value uses a variable.
    pub(super) fn mention(&mut self, name: &str) {
        if !self.mentioned.contains(name) {
            self.mentioned.insert(name.to_owned());
        }
    }

    /// Returns the places of the scalars in force that a value consists of; of one without any, its own.
    pub fn places(&self, value: &Origin) -> Vec<Origin> {
        if let Some(scalars) = self.scattered.get(value) {
            return scalars.clone();
        }
        let end = value.bytes.end.max(value.bytes.start + 1);
        let scalars = self.scalars.get(&value.file).into_iter();
        let within: Vec<Origin> = scalars
            .flat_map(|scalars| scalars.from(value.bytes.start))
            .take_while(|scalar| scalar.start < end)
            .map(|bytes| Origin { file: value.file, bytes })
            .filter(|origin| value.contains(origin))
            .collect();
        if within.is_empty() { vec![value.clone()] } else { within }
    }

    /// Returns how a value came about, each step once; nothing for one that is simply written where it stands.
    pub fn via(&self, value: &Origin) -> Vec<Via> {
        let places = self.places(value);
        let mut steps: Vec<Via> = Vec::new();
        let mut add = |step| {
            if !steps.contains(&step) {
                steps.push(step);
            }
        };
        for place in &places {
            self.variables(place).iter().for_each(|usage| add(Via::Variable(usage.clone())));
        }
        for place in std::iter::once(value).chain(&places) {
            let Some(directory) = self.overlay(place.file) else { continue };
            let replaced = self.replaced(place);
            let none = replaced.is_empty().then_some(None);
            for over in replaced.iter().cloned().map(Some).chain(none) {
                add(Via::Overlay { directory: directory.clone(), over });
            }
        }
        // An overlay's list may hold what was new beside what was not; that it was new is then no news.
        let known: Vec<_> = steps.iter().filter_map(|step| step.overlay_over()).cloned().collect();
        steps.retain(|step| !matches!(step, Via::Overlay { directory, over: None } if known.contains(directory)));
        steps
    }

    /// Returns the places that settle an action as a whole: on which target it is, and why the object is to be there or
    /// not.
    pub fn settled_by(&self, id: &ResourceId, action: Action) -> Vec<Origin> {
        let counts = |setting: Setting| match setting {
            Setting::Target | Setting::Policy | Setting::FieldPolicy | Setting::Suspend => true,
            Setting::Ensure => !matches!(action, Action::Update | Action::Sync),
            Setting::Protect => action == Action::Delete,
        };
        let settings = self.settings.get(id).into_iter().flat_map(|settings| &settings.0);
        settings.filter(|(setting, _)| counts(*setting)).map(|(_, place)| place.clone()).collect()
    }

    /// Returns the name of what a scalar settles about an object as a whole.
    pub fn setting(&self, id: &ResourceId, scalar: &Origin) -> Option<&'static str> {
        self.settings.get(id)?.0.iter().find(|(_, place)| place == scalar).map(|(setting, _)| setting.name())
    }

    /// Returns the variables in a scalar.
    pub fn variables(&self, scalar: &Origin) -> &[Use] {
        self.uses.get(scalar).map_or(&[], Vec::as_slice)
    }

    /// Returns the overlay that a file belongs to; `None` for a file of the base.
    pub fn overlay(&self, file: FileId) -> Option<&Arc<str>> {
        self.overlays.get(&file)
    }

    /// Returns true if an alias stands at a place.
    pub fn is_alias(&self, place: &Origin) -> bool {
        self.aliases.contains_key(place)
    }

    /// Returns the values that a value of an overlay replaced.
    pub fn replaced(&self, value: &Origin) -> &[Origin] {
        self.over.get(value).map_or(&[], Vec::as_slice)
    }

    /// Returns the values of overlays that replaced a value, or the list or mapping that it lies in.
    pub fn replaced_by(&self, value: &Origin) -> Vec<Origin> {
        let by = self.over.iter().filter(|(_, replaced)| replaced.iter().any(|origin| origin.contains(value)));
        let mut by: Vec<Origin> = by.map(|(by, _)| by.clone()).collect();
        by.sort_by_key(Origin::order);
        by
    }

    /// Returns the scalars in force that a value of a values file, or a scalar with an anchor, is in. It looks at all
    /// scalars: who asks about many values takes [`Provenance::users`].
    pub fn used_at(&self, value: &Origin) -> Vec<Origin> {
        let mut places: Vec<Origin> =
            self.in_force_places().filter(|place| self.sources_of(place).any(|at| at == value)).collect();
        places.sort_by_key(Origin::order);
        places.dedup();
        places
    }

    /// Returns the scalars in force by the values of values files, and the scalars with anchors, that are in them.
    pub fn users(&self) -> HashMap<Origin, Vec<Origin>> {
        let mut users: HashMap<Origin, Vec<Origin>> = HashMap::new();
        for place in self.in_force_places() {
            for at in self.sources_of(&place) {
                users.entry(at.clone()).or_default().push(place.clone());
            }
        }
        for places in users.values_mut() {
            places.sort_by_key(Origin::order);
            places.dedup();
        }
        users
    }

    /// Returns the places of all scalars in force. One that is written elsewhere may come several times.
    fn in_force_places(&self) -> impl Iterator<Item = Origin> {
        let scalars =
            self.scalars.iter().flat_map(|(file, scalars)| scalars.from(0).map(|bytes| Origin { file: *file, bytes }));
        scalars.chain(self.scattered.values().flatten().cloned())
    }

    /// Returns the values of values files and the scalar with an anchor that are in a scalar.
    fn sources_of(&self, scalar: &Origin) -> impl Iterator<Item = &Origin> {
        self.variables(scalar).iter().filter_map(Use::given_at).chain(self.aliases.get(scalar))
    }

    /// Adds to the places of scalars those of the variables that are in them and of what aliases stand for.
    pub fn with_sources(&self, places: &mut Vec<Origin>) {
        let sources: Vec<Origin> = places.iter().flat_map(|place| self.sources_of(place)).cloned().collect();
        places.extend(sources);
        places.sort_by_key(|place| (place.order(), place.bytes.end));
        places.dedup();
    }

    pub(super) fn uses(&mut self, scalar: &Origin, uses: Vec<Use>) {
        if !uses.is_empty() {
            self.uses.insert(scalar.clone(), uses);
        }
    }

    pub(super) fn settles(&mut self, id: &ResourceId, settings: &Settings) {
        if settings.0.is_empty() {
            self.settings.remove(id);
        } else {
            self.settings.insert(id.clone(), settings.clone());
        }
    }

    pub(super) fn stand_for(&mut self, aliases: Vec<(Origin, Origin)>) {
        self.aliases.extend(aliases);
    }

    pub(super) fn belongs(&mut self, file: FileId, overlay: &Arc<str>) {
        self.overlays.insert(file, overlay.clone());
    }

    /// Notes that a value of an overlay, with all that it consists of, replaces one.
    pub(super) fn replaces(&mut self, by: &Node<'_>, replaced: &Origin) {
        let over = self.over.entry(by.origin.clone()).or_default();
        if !over.contains(replaced) {
            over.push(replaced.clone());
        }
        let children = by.items().iter().chain(by.entries().iter().map(|(_, value)| value));
        children.for_each(|child| self.replaces(child, replaced));
    }

    /// Notes what a document consists of, once all overlays are merged into it.
    pub(super) fn in_force(&mut self, root: &Node<'_>) {
        self.note(root, &mut Vec::new());
    }

    /// Adds what was noted of later documents. Scalars have to be sorted before places are asked for.
    pub(super) fn absorb(&mut self, later: Self) {
        let Self { uses, overlays, over, scalars, scattered, settings, mentioned, aliases } = later;
        self.uses.extend(uses);
        self.overlays.extend(overlays);
        scalars.into_iter().for_each(|(file, scalars)| self.scalars.entry(file).or_default().append(scalars));
        over.into_iter().for_each(|(by, replaced)| merge(self.over.entry(by).or_default(), replaced));
        scattered.into_iter().for_each(|(value, scalars)| merge(self.scattered.entry(value).or_default(), scalars));
        self.settings.extend(settings);
        self.mentioned.extend(mentioned);
        self.aliases.extend(aliases);
    }

    /// Sorts the scalars in force.
    pub(super) fn sort(&mut self) {
        self.scalars.values_mut().for_each(Scalars::pack);
    }

    fn note(&mut self, node: &Node<'_>, seen: &mut Vec<Origin>) {
        let first = seen.len();
        match &node.content {
            Content::Scalar(_) => {
                self.scalars.entry(node.origin.file).or_default().push(node.origin.bytes.clone());
                seen.push(node.origin.clone());
                return;
            }
            Content::Sequence(items) => items.iter().for_each(|item| self.note(item, seen)),
            Content::Mapping(entries) => entries.iter().for_each(|(_, value)| self.note(value, seen)),
        }
        let scalars = &seen[first..];
        if scalars.iter().any(|scalar| !node.origin.contains(scalar)) {
            // The same list may be there twice, by an alias, and hold different things since an overlay was merged.
            merge(self.scattered.entry(node.origin.clone()).or_default(), scalars.to_vec());
        }
    }
}

/// Adds places that are not known yet; one that is among the new ones twice is kept twice.
fn merge(known: &mut Vec<Origin>, mut new: Vec<Origin>) {
    new.retain(|place| !known.contains(place));
    known.append(&mut new);
}

impl Via {
    /// Returns the overlay that replaced a value.
    fn overlay_over(&self) -> Option<&Arc<str>> {
        match self {
            Self::Overlay { directory, over: Some(_) } => Some(directory),
            Self::Overlay { over: None, .. } | Self::Variable(_) => None,
        }
    }
}
