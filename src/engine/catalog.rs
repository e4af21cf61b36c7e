//! Reads the definitions of the models that documents name.

use std::collections::BTreeSet;

use serde_json::Value;

use super::connection::Reader;
use crate::{
    model::Desired,
    provider::{Catalog, scope::ScopeRows},
};

/// Reads the fields of the models that documents name from their targets. Returns them, and reads that failed, in words.
pub async fn definitions(readers: &[Reader], desired: &[Desired]) -> (Catalog, BTreeSet<String>) {
    let (mut catalog, mut unread) = (Catalog::default(), BTreeSet::new());
    for reader in readers {
        let target = reader.target();
        let Some(schema) = target.platform.snapshot_scopes() else { continue };
        let own: Vec<&Desired> = desired.iter().filter(|desired| desired.target == target.name).collect();
        for request in schema.definitions(&own) {
            match reader.read(&request).await {
                Ok(answer) => {
                    let rows = match answer.to_value() {
                        Value::Array(rows) => rows,
                        answer => vec![answer],
                    };
                    schema.describe(request.operation, &request.arguments, &ScopeRows::new(rows), &mut catalog);
                }
                Err(refusal) => drop(unread.insert(format!("target {}: {refusal}", target.name))),
            }
        }
    }
    (catalog, unread)
}
