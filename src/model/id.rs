//! Addresses of objects.

use std::{
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

/// The arrow between a document and a part of it in an address. No `metadata.name` holds it.
pub const ARROW: &str = " → ";

/// Names one object of the manifest set; prints as its address, `Kind/key`, or `Kind/key → part`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceId {
    /// The kind's name, such as `Instance`.
    pub kind: &'static str,
    /// `metadata.name`.
    pub key: Arc<str>,
    /// Which of several objects of one document it is, such as the target of a row of an association.
    pub part: Option<Arc<str>>,
}

/// Returns eight bytes that stand for a value among very many, the same in each run.
pub fn stable_hash<T: Hash + ?Sized>(value: &T) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

impl ResourceId {
    /// Returns the address of the object that a document declares.
    pub fn new(kind: &'static str, key: impl Into<Arc<str>>) -> Self {
        Self { kind, key: key.into(), part: None }
    }

    /// Returns the address of a part of the same document.
    #[must_use]
    pub fn with_part(&self, part: impl Into<Arc<str>>) -> Self {
        Self { part: Some(part.into()), ..self.clone() }
    }

    /// Returns the address of the document.
    #[must_use]
    pub fn document(&self) -> Self {
        Self { part: None, ..self.clone() }
    }

    /// Reads an address; `kind` knows the names of kinds.
    pub fn read(address: &str, kind: impl FnOnce(&str) -> Option<&'static str>) -> Option<Self> {
        let (kind_name, name) = address.split_once('/')?;
        let (key, part) = name.split_once(ARROW).map_or((name, None), |(key, part)| (key, Some(part.into())));
        Some(Self { kind: kind(kind_name)?, key: key.into(), part })
    }

    /// Returns the address without the kind, as people read it.
    pub fn name(&self) -> String {
        match &self.part {
            Some(part) => format!("{}{ARROW}{part}", self.key),
            None => self.key.to_string(),
        }
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.key)?;
        self.part.iter().try_for_each(|part| write!(f, "{ARROW}{part}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_they_print() {
        let check = |address: &str, key: &str, part: Option<&str>| {
            let id = ResourceId::read(address, |kind| (kind == "App").then_some("App")).expect("an address");
            assert_eq!((&*id.key, id.part.as_deref()), (key, part), "{address}");
            assert_eq!(id.to_string(), address);
            assert_eq!(id.document().to_string(), format!("App/{key}"));
        };
        check("App/orders", "orders", None);
        check("App/orders/1", "orders/1", None);
        check("App/orders → members", "orders", Some("members"));
        check("App/rows → a → b", "rows", Some("a → b"));
        assert_eq!(ResourceId::read("Other/orders", |_| None), None);
        assert_eq!(ResourceId::read("orders", |_| Some("App")), None);
    }
}
