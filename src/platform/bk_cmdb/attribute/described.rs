//! An attribute as completion and schemas know it.

use super::Attribute;
use crate::provider::{FieldDefinition, FieldKind, FieldOption};

impl Attribute {
    /// Returns what people are told of it.
    pub(in crate::platform::bk_cmdb) fn described(&self) -> FieldDefinition {
        let kind = match self.kind() {
            "int" => FieldKind::Integer,
            "float" => FieldKind::Number,
            "bool" => FieldKind::Boolean,
            "enum" | "list" => FieldKind::Option,
            "enummulti" => FieldKind::Options,
            "objuser" => FieldKind::Users,
            "enumquote" | "organization" => FieldKind::Ids,
            "table" | "innertable" => FieldKind::Any,
            _ => FieldKind::Text,
        };
        let has_options = matches!(kind, FieldKind::Option | FieldKind::Options);
        let options = self.row["option"].items().iter().filter(|_| has_options).filter_map(|option| {
            let id = option.as_str().or_else(|| option["id"].as_str())?;
            Some(FieldOption { id: id.to_owned(), name: option["name"].as_str().unwrap_or(id).to_owned() })
        });
        let has_bounds = matches!(kind, FieldKind::Integer | FieldKind::Number);
        let bound = |limit: Option<f64>| limit.filter(|_| has_bounds);
        FieldDefinition {
            name: self.display_name().to_owned(),
            type_name: self.kind().to_owned(),
            kind,
            options: options.collect(),
            bounds: (bound(self.least), bound(self.most)),
            is_editable: self.is_editable(),
            is_key: self.no_key().is_none(),
            is_required: self.is_required(),
        }
    }
}
