//! Reading the file of a snapshot.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;

use super::{Content, DIGEST, FORMAT_VERSION, ScopeName, Snapshot, SnapshotError, TargetSnapshot, digest};
use crate::{model::Refusal, provider::scope::ScopeRows};

pub(super) fn snapshot(text: &str) -> Result<Snapshot, SnapshotError> {
    let mut document: Value = serde_json::from_str(text).map_err(SnapshotError::Text)?;
    if document["apiVersion"] != "reconcile/v1" || document["kind"] != "Snapshot" {
        return Err(SnapshotError::Kind);
    }
    // Before the digest: another format may have another one.
    let version = document["format_version"].as_str().unwrap_or("without a number");
    if version.split('.').next() != FORMAT_VERSION.split('.').next() {
        return Err(SnapshotError::Version(version.to_owned()));
    }
    let fits = text
        .rsplit_once(DIGEST)
        .is_some_and(|(above, rest)| rest.strip_suffix("\"\n}\n").is_some_and(|told| told == digest(above)));
    if !fits {
        return Err(SnapshotError::Digest);
    }
    let taken = document["taken"].as_str().and_then(|taken| taken.parse().ok());
    let taken = taken.ok_or_else(|| SnapshotError::Shape("it does not say when it was taken".to_owned()))?;
    let missing = document["missing"].as_array().into_iter().flatten();
    let missing = missing.filter_map(Value::as_str).map(str::to_owned).collect();
    let Value::Object(targets) = document["targets"].take() else {
        return Err(SnapshotError::Shape("it has no targets".to_owned()));
    };
    let targets = targets.into_iter().map(|(name, target_snapshot)| Ok((name, target(target_snapshot)?)));
    Ok(Snapshot { taken, missing, targets: targets.collect::<Result<_, SnapshotError>>()? })
}

fn target(mut target_snapshot: Value) -> Result<TargetSnapshot, SnapshotError> {
    let shape = |what: &str| SnapshotError::Shape(what.to_owned());
    let platform = target_snapshot["platform"].as_str().ok_or_else(|| shape("a target has no platform"))?.to_owned();
    let settings = target_snapshot["settings"].as_object().into_iter().flatten();
    let settings = settings.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect();
    let Value::Array(list) = target_snapshot["scopes"].take() else { return Err(shape("a target has no scopes")) };
    let mut scopes = BTreeMap::new();
    for mut scope in list {
        let operation = scope["operation"].as_str().ok_or_else(|| shape("a scope has no operation"))?.to_owned();
        let name = ScopeName { operation, arguments: scope["arguments"].to_string() };
        let content: Content = match (scope["rows"].take(), &scope["refusal"]) {
            (Value::Array(rows), Value::Null) => Ok(Arc::new(ScopeRows::new(rows))),
            (Value::Null, Value::Object(refusal)) => {
                let text = |key: &str| refusal.get(key).and_then(Value::as_str);
                Err(Refusal::new(text("code").map(Into::into), text("message").unwrap_or_default()))
            }
            _ => return Err(shape("a scope has neither rows nor a refusal")),
        };
        scopes.insert(name, content);
    }
    Ok(TargetSnapshot { platform, settings, scopes })
}
