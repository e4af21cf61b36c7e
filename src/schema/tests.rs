use super::*;
use crate::platform;

/// Returns the names of all keys that objects of a schema have.
fn keys(schema: &serde_json::Value, found: &mut std::collections::BTreeSet<String>) {
    match schema {
        serde_json::Value::Object(entries) => {
            for (key, value) in entries {
                if key == "properties" {
                    found.extend(value.as_object().into_iter().flatten().map(|(name, _)| name.clone()));
                }
                keys(value, found);
            }
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| keys(item, found)),
        _ => {}
    }
}

#[test]
fn schemas_are_schemas_and_have_keys_of_all_depths() {
    let check = |schema: serde_json::Value, expected: &[&str]| {
        assert!(jsonschema::draft202012::meta::is_valid(&schema), "{schema:#}");
        let mut found = std::collections::BTreeSet::new();
        keys(&schema, &mut found);
        for key in expected {
            assert!(found.contains(*key), "no `{key}`: {found:?}");
        }
    };
    check(manifest(platform::ALL), &["metadata", "labels", "match", "row_id", "roles", "waves", "fieldPolicy"]);
    check(configuration(platform::ALL), &["targets", "appSecret", "iam", "quiet", "maxImpact", "association", "env"]);
}
