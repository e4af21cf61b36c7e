//! The keys of `spec` that all kinds share: the policy for differences, whether the object may ever be removed, and for how
//! long it is not written.

use std::{borrow::Cow, collections::BTreeSet, sync::Arc};

use super::targets::Targets;
use crate::{
    diagnostic::Diagnostic,
    model::{
        Desired, FieldPath, Suspension,
        policy::{Policies, Policy},
    },
    provider::{SUSPENSION, suspension},
    source::Origin,
    yaml::{self, Content, Form, Key, Node, Section, Shape, nearest},
};

/// The keys of `spec` that no kind has to know.
pub static COMMON: Form = Form::new(&[
    Key::new(
        "policy",
        Shape::OneOf(Policy::WORDS),
        "what is done about differences: `enforce` (the default), `report` or `ignore`",
    ),
    Key::new("fieldPolicy", Shape::MappingOf(&Shape::OneOf(Policy::WORDS)), "the policies of single fields"),
    Key::new("protect", Shape::Boolean, "`true`: the object is never removed"),
    Key::new(
        "suspend",
        Shape::Mapping(&SUSPENSION),
        "`{reason: TEXT, until: TIME}`: differences are shown and not sent until then",
    ),
]);

/// The keys of `spec` that all kinds share, as far as they could be read.
#[derive(Default)]
pub(super) struct ForAllKinds {
    protect: bool,
    policies: Policies,
    /// Where each field with a policy of its own is named.
    places: Vec<(Arc<str>, Origin)>,
    suspended: Option<Arc<Suspension>>,
}

/// Takes out of `spec` what holds for all kinds.
pub(super) fn common_keys(spec: &mut Node<'_>, diagnostics: &mut Vec<Diagnostic>) -> ForAllKinds {
    let mut found = ForAllKinds::default();
    if let Some(node) = spec.get("policy") {
        found.policies.object = word(node, "`policy`", diagnostics).unwrap_or_default();
    }
    if let Some(node) = spec.get("fieldPolicy")
        && let Some(section) = Section::open(node, "`fieldPolicy`", diagnostics)
    {
        for (key, value) in section.node().entries() {
            if let Some(policy) = word(value, &format!("`fieldPolicy.{}`", key.key()), diagnostics) {
                let path: Arc<str> = key.key().into();
                found.policies.fields.insert(path.clone(), policy);
                found.places.push((path, key.origin.clone()));
            }
        }
    }
    if let Some(node) = spec.get("protect") {
        found.protect = yaml::boolean(node, "`protect`", diagnostics).unwrap_or_default();
    }
    if let Some(node) = spec.get("suspend") {
        found.suspended = suspension(node, "`suspend`", diagnostics).map(Arc::new);
    }
    if let Content::Mapping(entries) = &mut spec.content {
        entries.retain(|(key, _)| COMMON.key(key.key()).is_none());
    }
    found
}

fn word(node: &Node<'_>, what: &str, diagnostics: &mut Vec<Diagnostic>) -> Option<Policy> {
    yaml::one_of(node, what, Policy::WORDS, diagnostics)?.parse().ok()
}

impl ForAllKinds {
    /// Puts it on the objects of a document, as far as their targets allow that, and reports policies of fields that none
    /// of them declares. Where the document could not be read there are no objects, and nothing is said.
    pub(super) fn put_on(
        &self,
        objects: &mut [Desired],
        spec: &Node<'_>,
        targets: &Targets,
        diagnostics: &mut Vec<Diagnostic>,
    ) {
        if objects.is_empty() {
            return;
        }
        // Few documents have any.
        if !self.places.is_empty() {
            self.check_places(objects, spec, diagnostics);
        }
        for desired in objects {
            desired.protect = self.protect;
            desired.policies = self.policies.clone();
            desired.policies.restrict(targets.policy(&desired.target));
            desired.suspended.clone_from(&self.suspended);
        }
    }

    /// Reports policies of fields that no object declares.
    fn check_places(&self, objects: &[Desired], spec: &Node<'_>, diagnostics: &mut Vec<Diagnostic>) {
        let mut declared: BTreeSet<Cow<'_, str>> =
            objects.iter().flat_map(|desired| desired.fields.keys()).map(FieldPath::root).collect();
        // A list that is an object of its own, such as the members of an app, may be empty.
        let parts = objects.iter().filter_map(|desired| desired.id.part.as_deref());
        declared.extend(parts.filter(|part| spec.get(part).is_some()).map(Cow::Borrowed));
        for (path, place) in self.places.iter().filter(|(path, _)| !declared.contains(&**path)) {
            diagnostics.push(undeclared(path, place, &declared));
        }
    }
}

fn undeclared(path: &str, place: &Origin, declared: &BTreeSet<Cow<'_, str>>) -> Diagnostic {
    let part: Option<FieldPath> = path.parse().ok();
    if let Some(root) = part.as_ref().map(FieldPath::root).filter(|root| declared.contains(root)) {
        let message = format!("`{path}` is a part of a field: policies are given to whole fields");
        return Diagnostic::error("M009", message, place).hint(format!("give it to `{root}`"));
    }
    let diagnostic = Diagnostic::error("M009", format!("this document declares no field `{path}`"), place);
    match nearest(path, declared.iter().map(AsRef::as_ref)) {
        Some(near) => diagnostic.hint(format!("did you mean `{near}`?")),
        None if declared.is_empty() => diagnostic.hint("`policy` is for the object as a whole"),
        None => {
            let declared: Vec<_> = declared.iter().map(AsRef::as_ref).collect();
            diagnostic.hint(format!("it declares {}", declared.join(", ")))
        }
    }
}
