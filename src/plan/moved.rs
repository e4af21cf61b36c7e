//! Says what became of an object since its change was planned.

use serde_json::Value;

use super::Scene;
use crate::model::{Action, Change, Sight};

/// Returns in words how an object differs from the one that its change was planned on, as far as the change tells; what
/// is passed back with the declared fields may have moved too.
pub fn moved(change: &Change, scenes: &[Scene<'_>]) -> String {
    let scene = scenes.iter().find(|scene| scene.target == change.target);
    match (change.action, scene.and_then(|scene| scene.facts.sight(&change.id))) {
        (Action::Create, Some(Sight::Found(live))) => format!("it is there by now: {}", live.label),
        (Action::Create, _) => "what it hangs on is another one".to_owned(),
        (_, Some(Sight::Found(live))) if live.handle != change.handle => {
            format!("another object is meant by now: {}", live.label)
        }
        (_, Some(Sight::Found(live))) => {
            let plain = change.fields.iter().filter(|field| live.fields.contains_key(field.path.as_str()));
            // A property of a process is a value with a lock.
            let now = |path: &str| {
                let field = live.field(path);
                field.get("value").filter(|_| field.get("as_default_value").is_some()).unwrap_or(field).clone()
            };
            let moved = plain.filter(|field| field.from.as_ref().is_some_and(|from| *from != now(&field.path)));
            let text = |value: Option<&Value>| value.unwrap_or(&Value::Null).to_string();
            let moved: Vec<_> = moved
                .map(|field| {
                    let (from, now) = (text(field.from.as_ref()), text(Some(&now(&field.path))));
                    format!("{} was {from} and is {now}", field.path)
                })
                .collect();
            if moved.is_empty() {
                "what it is known by, or what goes back with the declared fields, has changed".to_owned()
            } else {
                moved.join(", ")
            }
        }
        (_, Some(Sight::Absent { .. })) => "it is gone".to_owned(),
        _ => "it cannot be told from others any more".to_owned(),
    }
}
