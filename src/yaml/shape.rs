//! The keys that a mapping may have and the values that they take, as data: decoders read by these tables, and schemas
//! and editors tell people from them.

/// The keys of one mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// The keys, in the order in which people write them.
    pub keys: &'static [Key],
    /// Keys of which exactly one has to be there; none if it is empty.
    pub exactly_one: &'static [&'static str],
}

impl Form {
    /// Returns the form of a mapping with keys.
    pub const fn new(keys: &'static [Key]) -> Self {
        Self { keys, exactly_one: &[] }
    }

    /// Makes exactly one of some keys necessary.
    #[must_use]
    pub const fn exactly_one(self, keys: &'static [&'static str]) -> Self {
        Self { exactly_one: keys, ..self }
    }

    /// Returns a key by its name.
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

/// A key of a mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// The values that it takes.
    pub shape: Shape,
    /// What it says, in one sentence for people, without a final period.
    pub description: &'static str,
    /// It has to be there, unless an exception holds.
    pub required: bool,
    /// The exceptions: another key is there and has this value, or any value if the text is empty.
    pub unless: &'static [(&'static str, &'static str)],
}

impl Key {
    /// Returns a key that may be left out.
    pub const fn new(name: &'static str, shape: Shape, description: &'static str) -> Self {
        Self { name, shape, description, required: false, unless: &[] }
    }

    /// Makes it one that has to be there.
    #[must_use]
    pub const fn required(self) -> Self {
        Self { required: true, ..self }
    }

    /// Makes it one that has to be there, unless another key has a value; an empty text is any value.
    #[must_use]
    pub const fn required_unless(self, unless: &'static [(&'static str, &'static str)]) -> Self {
        Self { required: true, unless, ..self }
    }
}

/// The values that a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Any value.
    Any,
    /// A text; a number or a truth value without quotes is taken as written.
    Text,
    /// A text that is not empty.
    Name,
    /// A whole number within bounds, both included.
    Integer(i64, i64),
    /// A number above 0.
    Number,
    /// A truth value.
    Boolean,
    /// A duration such as `30s` or `5m`.
    Duration,
    /// A number, or a share such as `30%`.
    Limit,
    /// A name, or an id as a whole number above 0.
    NameOrId,
    /// One of a few words.
    OneOf(&'static [&'static str]),
    /// A list of at least so many items.
    List(&'static Shape, usize),
    /// A mapping whose keys people choose.
    MappingOf(&'static Shape),
    /// A mapping with known keys.
    Mapping(&'static Form),
    /// A value of one of several shapes.
    AnyOf(&'static [Shape]),
    /// Null.
    Null,
    /// The source of a secret: an environment variable, a file or a command.
    Secret,
}

/// The largest id, and other numbers without an upper bound.
pub const MOST: i64 = i64::MAX;
