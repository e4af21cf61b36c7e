//! The fields of a live object.

use super::{FieldPath, Json, Object, SharedMap};

/// The values of a live object's fields: those of the row that the server answered, which is shared and not copied, and
/// those that its kind put beside them or in their place.
#[derive(Debug, Clone, Default)]
pub struct LiveFields {
    /// An object, or null.
    row: Json,
    /// Most objects have none.
    own: Option<Box<SharedMap<FieldPath, Json>>>,
}

impl LiveFields {
    /// Returns no fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the fields of a row.
    pub fn of_row(row: Json) -> Self {
        Self { row, own: None }
    }

    /// Returns the value of a field.
    pub fn get(&self, path: &(impl AsRef<str> + ?Sized)) -> Option<&Json> {
        let path = path.as_ref();
        self.own.as_ref().and_then(|own| own.get(path)).or_else(|| {
            let object = self.row.as_object()?;
            if FieldPath::is_name(path) {
                return object.get(path);
            }
            object.fields().find(|(known, _)| *known == path).map(|(_, value)| value)
        })
    }

    /// Returns all fields in the order of their paths.
    pub fn iter(&self) -> impl Iterator<Item = (&FieldPath, &Json)> {
        let of_row = self.row.as_object().into_iter().flat_map(Object::fields);
        let own = || self.own.iter().flat_map(|own| own.iter());
        let is_own = |path: &FieldPath| self.own.as_ref().is_some_and(|own| own.contains_key(path));
        let mut fields: Vec<_> = of_row.filter(|(path, _)| !is_own(path)).chain(own()).collect();
        // A quoted name may lie elsewhere than the name.
        fields.sort_by_key(|(path, _)| *path);
        fields.into_iter()
    }

    /// Returns the paths of all fields in their order.
    pub fn keys(&self) -> impl Iterator<Item = &FieldPath> {
        self.iter().map(|(path, _)| path)
    }

    /// Returns true if there is no field.
    pub fn is_empty(&self) -> bool {
        self.own.as_ref().is_none_or(|own| own.is_empty()) && self.row.as_object().is_none_or(Object::is_empty)
    }

    /// Sets the value of a field.
    pub fn insert(&mut self, path: FieldPath, value: Json) {
        self.own.get_or_insert_default().insert(path, value);
    }
}

impl PartialEq for LiveFields {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Extend<(FieldPath, Json)> for LiveFields {
    fn extend<I: IntoIterator<Item = (FieldPath, Json)>>(&mut self, fields: I) {
        self.own.get_or_insert_default().extend(fields);
    }
}

impl FromIterator<(FieldPath, Json)> for LiveFields {
    fn from_iter<I: IntoIterator<Item = (FieldPath, Json)>>(fields: I) -> Self {
        let mut all = Self::new();
        all.extend(fields);
        all
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_of_a_kind_lie_over_those_of_the_row() {
        let mut fields = LiveFields::of_row(json!({"b": 1, "a.x": 2, "c": 3}).into());
        fields.insert(FieldPath::field("c"), json!(4).into());
        fields.insert(FieldPath::field("a"), json!(5).into());
        let all: Vec<_> = fields.iter().map(|(path, value)| (path.to_string(), value.to_value())).collect();
        let expected = [("\"a.x\"", json!(2)), ("a", json!(5)), ("b", json!(1)), ("c", json!(4))];
        assert_eq!(all, expected.map(|(path, value)| (path.to_owned(), value)));
        for (path, value) in &all {
            assert_eq!(fields.get(path), Some(&value.into()), "{path}");
        }
        assert_eq!((fields.get("a.x"), fields.get("d")), (None, None));
        let same: LiveFields =
            all.into_iter().map(|(path, value)| (path.parse().expect("a path"), value.into())).collect();
        assert_eq!(fields, same);
        assert!(!fields.is_empty() && LiveFields::new().is_empty());
    }
}
