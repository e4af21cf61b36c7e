//! A note: a text with a name.

use reconcile::{
    diagnostic::Diagnostic,
    model::{Call, Desired, Ensure, FieldChange, FieldPath, Json, Live, ObservedState, Refusal, Request},
    provider::{Envelope, Facts, Kind, Observation, Planned, Read, ScopeKey, Step},
    source::Located,
    yaml::{self, Form, Key, Node, Section, Shape},
};
use serde_json::{Value, json};

/// The keys of its `spec`, for schemas and editors.
static SPEC: Form = Form::new(&[Key::new("text", Shape::Text, "the text").required()]);

/// The kind: one line in the kinds of its platform.
pub(super) struct Note;

impl Kind for Note {
    fn name(&self) -> &'static str {
        "Note"
    }

    fn spec_form(&self) -> &'static Form {
        &SPEC
    }

    fn decode(&self, envelope: &Envelope, spec: &Node<'_>, diagnostics: &mut Vec<Diagnostic>) -> Vec<Desired> {
        let Some(section) = Section::of(spec, "spec of Note", &SPEC, diagnostics) else { return Vec::new() };
        let mut desired = envelope.desired(self.name(), Ensure::Present);
        let text = section
            .require("text", diagnostics)
            .and_then(|node| Some(Located::new(json!(yaml::text(node, "text", diagnostics)?), node.origin.clone())));
        section.finish(diagnostics);
        desired.fields.extend(text.map(|text| (FieldPath::field("text"), text)));
        vec![desired]
    }

    fn observe(&self, desired: &[&Desired], _: &[&Desired], facts: &Facts) -> Step<Observation> {
        let mut observation = Observation::default();
        for object in desired {
            let arguments = json!({"name": &*object.id.key});
            match observation.read(Request { operation: "show", arguments, repeatable: true }, facts) {
                Read::Pending => {}
                Read::Failed(refusal) => observation.know(&object.id, ObservedState::Unknown(refusal.to_string())),
                Read::Value(text) if text.is_null() => observation.know(&object.id, ObservedState::absent()),
                Read::Value(text) => {
                    let fields = [(FieldPath::field("text"), text.clone())].into_iter().collect();
                    let live = Live::new(json!(&*object.id.key), format!("note {}", object.id.key), fields);
                    observation.know(&object.id, ObservedState::Found(live));
                }
            }
        }
        observation.step()
    }

    fn reread(&self, objects: &[(&Desired, &Value)], facts: &Facts) -> Step<Observation> {
        self.observe(&objects.iter().map(|(desired, _)| *desired).collect::<Vec<_>>(), &[], facts)
    }

    fn compare(&self, desired: &Desired, live: Option<&Live>, _: &Facts) -> Result<Vec<FieldChange>, Vec<Diagnostic>> {
        let (wanted, found) = (&desired.fields[&FieldPath::field("text")], live.map(|live| live.field("text")));
        let change = || FieldChange {
            path: FieldPath::field("text"),
            from: found.map(Json::to_value),
            to: Some(wanted.value.to_value()),
            display: None,
            because: wanted.origin.clone(),
        };
        Ok((found != Some(&wanted.value)).then(change).into_iter().collect())
    }

    fn calls(&self, planned: &[Planned<'_>], _: &Facts) -> Vec<Call> {
        let call = |planned: &Planned<'_>| Call {
            request: Request {
                operation: "write",
                arguments: json!({"name": &*planned.desired.id.key, "text": planned.desired.field("text")}),
                repeatable: true,
            },
            target: planned.desired.target.clone(),
            serves: vec![planned.desired.id.clone()],
        };
        planned.iter().map(call).collect()
    }

    fn precondition_fields<'d>(&self, _: &'d Desired) -> Option<Vec<&'d str>> {
        None
    }

    fn handle(&self, planned: &Planned<'_>, _: &Json) -> Option<Value> {
        Some(json!(&*planned.desired.id.key))
    }

    fn impact_units(&self) -> &'static [&'static str] {
        &["readers"]
    }

    fn scope_keys(&self) -> Option<&'static [ScopeKey]> {
        Some(const { &[ScopeKey::name("shelf").required()] })
    }

    fn is_conflict(&self, _: &Refusal) -> bool {
        false
    }
}
