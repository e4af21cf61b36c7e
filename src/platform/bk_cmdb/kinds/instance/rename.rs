//! The way to say that a new instance is a live one under another name.

use super::model_of;
use crate::{
    model::{Desired, Live},
    platform::bk_cmdb::{attribute::text, kinds::decode_common},
    yaml,
};

/// Returns the `match` that means a live instance, and the fields that keep what was declared; `None` if the instance is
/// of another model, or not all its fields of `match` are known.
pub(super) fn hint(desired: &Desired, live: &Live) -> Option<String> {
    // A label begins with the model.
    if live.label.split_whitespace().next() != Some(model_of(desired)) {
        return None;
    }
    let (mut matched, mut missing) = (Vec::new(), Vec::new());
    for (name, declared) in decode_common::matched(desired, "") {
        let known = text(live.fields.get(name)?)?.to_owned();
        let wanted = text(&declared.value)?;
        if known != wanted && desired.field(name).is_none() {
            missing.push(format!("`{name}: {}`", yaml::scalar(wanted)));
        }
        matched.push(format!("{name}: {}", yaml::scalar(&known)));
    }
    let fields =
        if missing.is_empty() { String::new() } else { format!(", and {} below `fields`", missing.join(", ")) };
    Some(format!("`match: {{{}}}`{fields}", matched.join(", ")))
}
