//! The schema of a value, from its shape.

use serde_json::{Map, Value, json};

use crate::{
    config::SOURCE,
    yaml::{Form, Key, MOST, Shape},
};

/// Turns shapes into schemas.
#[derive(Clone, Copy)]
pub(super) struct Writer {
    /// A value may be a text with a variable, such as `${PORTS}`, whatever it has to be.
    pub(super) variables: bool,
}

impl Writer {
    /// Returns the schema of a value.
    pub(super) fn shape(self, shape: &Shape) -> Value {
        let schema = match shape {
            Shape::Any => return json!({}),
            // Numbers and truth values without quotes are texts, too.
            Shape::Text => return json!({"type": ["string", "number", "boolean"]}),
            Shape::Name => return json!({"type": ["string", "number", "boolean"], "minLength": 1}),
            Shape::NameOrId => {
                return json!({
                    "type": ["string", "number", "boolean"],
                    "pattern": "\\S",
                    "if": {"type": "integer"},
                    "then": {"minimum": 1},
                });
            }
            Shape::Mapping(form) => return self.form(form),
            Shape::MappingOf(value) => {
                return json!({"type": "object", "additionalProperties": self.shape(value)});
            }
            Shape::List(item, least) => {
                return json!({"type": "array", "items": self.shape(item), "minItems": least});
            }
            Shape::AnyOf(shapes) => {
                return json!({"anyOf": shapes.iter().map(|shape| self.shape(shape)).collect::<Vec<_>>()});
            }
            Shape::Secret => return self.form(&SOURCE),
            Shape::Integer(least, most) if *most == MOST => json!({"type": "integer", "minimum": least}),
            Shape::Integer(least, most) => json!({"type": "integer", "minimum": least, "maximum": most}),
            Shape::Number => json!({"type": "number", "exclusiveMinimum": 0}),
            Shape::Boolean => json!({"type": "boolean"}),
            Shape::Null => json!({"type": "null"}),
            Shape::Duration => json!({"type": "string", "pattern": "^([0-9]+(ms|s|m|h|d))+$"}),
            Shape::Limit => json!({"anyOf": [
                {"type": "integer", "minimum": 0},
                {"type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?\\s*%$|^[0-9]+$"},
            ]}),
            Shape::OneOf(words) => json!({"enum": words}),
        };
        if self.variables { json!({"anyOf": [schema, {"type": "string", "pattern": "\\$\\{"}]}) } else { schema }
    }

    /// Returns the schema of a mapping.
    pub(super) fn form(self, form: &Form) -> Value {
        self.forms(&[form])
    }

    /// Returns the schema of a mapping with the keys of several forms.
    pub(super) fn forms(self, forms: &[&Form]) -> Value {
        let keys = || forms.iter().flat_map(|form| form.keys);
        let properties: Map<String, Value> = keys().map(|key| (key.name.to_owned(), self.key(key))).collect();
        let required: Vec<&str> =
            keys().filter(|key| key.required && key.unless.is_empty()).map(|key| key.name).collect();
        let mut rules: Vec<Value> =
            keys().filter(|key| key.required && !key.unless.is_empty()).map(required_unless).collect();
        for names in forms.iter().map(|form| form.exactly_one).filter(|names| !names.is_empty()) {
            rules.push(json!({"oneOf": names.iter().map(|name| json!({"required": [name]})).collect::<Vec<_>>()}));
        }
        let mut schema = json!({
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        });
        if !rules.is_empty() {
            schema["allOf"] = Value::Array(rules);
        }
        schema
    }

    /// Returns the schema of the value of a key, with its description.
    pub(super) fn key(self, key: &Key) -> Value {
        let mut schema = self.shape(&key.shape);
        schema["description"] = json!(key.description);
        schema
    }
}

/// Returns the rule of a key that has to be there, unless one of its exceptions holds.
fn required_unless(key: &Key) -> Value {
    let exception = |(name, value): &(&str, &str)| {
        if value.is_empty() {
            json!({"required": [name]})
        } else {
            json!({"required": [name], "properties": {(*name): {"const": value}}})
        }
    };
    let exceptions = key.unless.iter().map(exception);
    json!({"anyOf": std::iter::once(json!({"required": [key.name]})).chain(exceptions).collect::<Vec<_>>()})
}
