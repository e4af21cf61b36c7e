//! Paths of fields: the same path means the same thing in a manifest, in a plan and in what is read back.

use std::{
    borrow::{Borrow, Cow},
    fmt,
    str::FromStr,
    sync::Arc,
};

/// Marks the position of a row, in square brackets.
const POSITION: char = '@';

/// Names a field of an object, or a part of one.
///
/// A path is the name of a field, perhaps a row of it, and perhaps names of parts: `operator`, `bind_info[3].port`,
/// `bind_info.order`. A row is named by its id on the platform; one that is declared and has none yet by its position in
/// the manifest, `bind_info[@0]`. A name that holds a character of this grammar is quoted as in JSON.
///
/// A path is kept as its text, so that a simple field costs no more than its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldPath(Arc<str>);

/// Names a row of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row<'a> {
    /// By its position in the manifest, from 0.
    Position(usize),
    /// By its id on the platform.
    Id(Cow<'a, str>),
}

impl fmt::Display for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Position(position) => write!(f, "{POSITION}{position}"),
            Self::Id(id) => f.write_str(id),
        }
    }
}

/// A text that is no path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no path of a field")]
pub struct PathError(String);

impl FieldPath {
    /// Returns the path of a whole field.
    pub fn field(name: &str) -> Self {
        Self(name_text(name).into())
    }

    /// Returns the path of a whole field whose name is shared.
    pub(super) fn of_name(name: &Arc<str>) -> Self {
        match name_text(name) {
            Cow::Borrowed(_) => Self(name.clone()),
            Cow::Owned(text) => Self(text.into()),
        }
    }

    /// Returns true if a text is the path of a field that is spelled as its name.
    pub(super) fn is_name(text: &str) -> bool {
        matches!(name_text(text), Cow::Borrowed(_))
    }

    /// Returns the path of a row of this field by its id.
    #[must_use]
    pub fn row_id(&self, id: impl fmt::Display) -> Self {
        let id = id.to_string();
        let is_plain = !id.is_empty() && !id.starts_with(POSITION) && !id.contains([']', '"']);
        let id = if is_plain { id } else { quoted(&id) };
        Self(format!("{self}[{id}]").into())
    }

    /// Returns the path of a row of this field by its position in the manifest.
    #[must_use]
    pub fn row_at(&self, position: usize) -> Self {
        Self(format!("{self}[{POSITION}{position}]").into())
    }

    /// Returns the path of a part of this field or row.
    #[must_use]
    pub fn part(&self, name: &str) -> Self {
        Self(format!("{self}.{}", name_text(name)).into())
    }

    /// Returns the path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the name of the field that the path lies in: `bind_info` of `bind_info[3].port`.
    pub fn root(&self) -> Cow<'_, str> {
        unquoted(self.split().0)
    }

    /// Returns the row that the path names or lies in.
    pub fn row(&self) -> Option<Row<'_>> {
        let row = self.split().1?;
        Some(match row.strip_prefix(POSITION).and_then(|number| number.parse().ok()) {
            Some(position) => Row::Position(position),
            None => Row::Id(unquoted(row)),
        })
    }

    /// Returns what follows the field and the row, as text: `port` of `bind_info[3].port`; empty where nothing does.
    pub fn rest(&self) -> &str {
        let rest = self.split().2;
        rest.strip_prefix('.').unwrap_or(rest)
    }

    /// Returns the names of the parts, from the field or row inwards.
    pub fn parts(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let mut rest = self.split().2;
        std::iter::from_fn(move || {
            let text = rest.strip_prefix('.')?;
            let (name, behind) = text.split_at(name_end(text));
            rest = behind;
            Some(unquoted(name))
        })
    }

    /// Returns true if the path names a whole row.
    pub fn is_row(&self) -> bool {
        let (_, row, rest) = self.split();
        row.is_some() && rest.is_empty()
    }

    /// Returns true if the path is another one or lies within it.
    pub fn lies_within(&self, other: &Self) -> bool {
        self.0.strip_prefix(&*other.0).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    }

    /// Returns the texts of the field, the row and the parts; these begin with a dot.
    fn split(&self) -> (&str, Option<&str>, &str) {
        let (root, behind) = self.0.split_at(name_end(&self.0));
        match behind.strip_prefix('[') {
            Some(row) => {
                let (row, behind) = row.split_at(row_end(row));
                (root, Some(row), behind.strip_prefix(']').unwrap_or(behind))
            }
            None => (root, None, behind),
        }
    }
}

/// Returns where the name at the beginning of a text ends.
fn name_end(text: &str) -> usize {
    quoted_end(text).unwrap_or_else(|| text.find(['.', '[']).unwrap_or(text.len()))
}

/// Returns where the row at the beginning of a text ends.
fn row_end(text: &str) -> usize {
    quoted_end(text).unwrap_or_else(|| text.find(']').unwrap_or(text.len()))
}

/// Returns where the quoted name at the beginning of a text ends; `None` if there is none.
fn quoted_end(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('"')?;
    let mut escaped = false;
    let end = inside.find(|character| match character {
        _ if escaped => {
            escaped = false;
            false
        }
        '\\' => {
            escaped = true;
            false
        }
        character => character == '"',
    });
    end.map(|end| end + 2)
}

fn name_text(name: &str) -> Cow<'_, str> {
    let is_plain = !name.is_empty() && !name.contains(['.', '[', ']', '"']);
    if is_plain { Cow::Borrowed(name) } else { Cow::Owned(quoted(name)) }
}

fn quoted(name: &str) -> String {
    serde_json::Value::from(name).to_string()
}

/// Returns the name that a text stands for.
fn unquoted(text: &str) -> Cow<'_, str> {
    if !text.starts_with('"') {
        return Cow::Borrowed(text);
    }
    serde_json::from_str(text).map_or(Cow::Borrowed(text), Cow::Owned)
}

impl FromStr for FieldPath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        let read = Self(text.into());
        let mut path = Self::field(&read.root());
        match read.row() {
            Some(Row::Position(position)) => path = path.row_at(position),
            Some(Row::Id(id)) => path = path.row_id(id),
            None => {}
        }
        for part in read.parts() {
            path = path.part(&part);
        }
        // A path is spelled in one way: what is spelled in another, or leaves anything over, is none.
        if path == read { Ok(path) } else { Err(PathError(text.to_owned())) }
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl PartialEq<str> for FieldPath {
    fn eq(&self, text: &str) -> bool {
        *self.0 == *text
    }
}

impl PartialEq<&str> for FieldPath {
    fn eq(&self, text: &&str) -> bool {
        *self.0 == **text
    }
}

impl Borrow<str> for FieldPath {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for FieldPath {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_path_has_a_field_a_row_and_parts() {
        let check = |text: &str, root: &str, row: Option<Row<'_>>, parts: &[&str], rest: &str| {
            let path: FieldPath = text.parse().expect("it is a path");
            assert_eq!((&*path.root(), path.row(), path.rest()), (root, row, rest), "{text}");
            assert_eq!(path.parts().collect::<Vec<_>>(), parts, "{text}");
            assert_eq!(path.is_row(), path.row().is_some() && parts.is_empty(), "{text}");
        };
        let id = |id: &'static str| Some(Row::Id(id.into()));
        check("operator", "operator", None, &[], "");
        check("bind_info.order", "bind_info", None, &["order"], "order");
        check("bind_info[3]", "bind_info", id("3"), &[], "");
        check("bind_info[@0]", "bind_info", Some(Row::Position(0)), &[], "");
        check("bind_info[3].port.lock", "bind_info", id("3"), &["port", "lock"], "port.lock");
        check("members[a.b[c]", "members", id("a.b[c"), &[], "");
        check(r#"members["a]b"]"#, "members", id("a]b"), &[], "");
        check(r#""a.b".c"#, "a.b", None, &["c"], "c");
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for text in
            ["", ".", "a.", ".a", "a[", "a[]", "a[3", "a[3]b", "a[1][2]", "a[@]", "a[@01]", "\"a", r#""a""#, "a]"]
        {
            assert_eq!(text.parse::<FieldPath>(), Err(PathError(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn a_path_lies_within_another_by_names_and_not_by_letters() {
        let check = |inner: &str, outer: &str, expected: bool| {
            let path = |text: &str| text.parse::<FieldPath>().expect("it is a path");
            assert_eq!(path(inner).lies_within(&path(outer)), expected, "{inner} in {outer}");
        };
        check("bind_info[3].port", "bind_info", true);
        check("bind_info[3].port", "bind_info[3]", true);
        check("bind_info", "bind_info", true);
        check("bind_info_more", "bind_info", false);
        check("bind_info", "bind_info[3]", false);
    }

    proptest! {
        #[test]
        fn a_path_is_read_as_it_was_made(
            root in ".*",
            row in prop::option::of(prop_oneof![any::<usize>().prop_map(Ok), ".*".prop_map(Err)]),
            parts in prop::collection::vec(".*", 0..3),
        ) {
            let mut path = FieldPath::field(&root);
            match &row {
                Some(Ok(position)) => path = path.row_at(*position),
                Some(Err(id)) => path = path.row_id(id),
                None => {}
            }
            for part in &parts {
                path = path.part(part);
            }
            prop_assert_eq!(&*path.root(), &root);
            let expected = row.as_ref().map(|row| match row {
                Ok(position) => Row::Position(*position),
                Err(id) => Row::Id(id.as_str().into()),
            });
            prop_assert_eq!(path.row(), expected);
            prop_assert_eq!(path.parts().collect::<Vec<_>>(), parts);
            prop_assert_eq!(path.to_string().parse(), Ok(path));
        }
    }
}
