//! Documents whose long lists are made element by element while they are written: a plan may have a hundred thousand
//! changes, and all of them as JSON values take many times the memory of the plan itself.

use std::{borrow::Cow, collections::BTreeMap, io};

use serde::{
    Serialize, Serializer,
    ser::{SerializeMap, SerializeSeq},
};
use serde_json::{Value, json, value::RawValue};

use super::{super::precondition::digest, COST, DIGEST};

/// A JSON object, its keys in order.
#[derive(Default)]
pub struct Document<'a> {
    parts: BTreeMap<Cow<'a, str>, Part<'a>>,
}

enum Part<'a> {
    Value(Value),
    /// A piece of a text that was read, not taken apart yet.
    Text(&'a RawValue),
    List(List<'a>),
}

/// A list whose elements are made when they are written.
struct List<'a> {
    length: usize,
    element: Box<dyn Fn(usize) -> Value + 'a>,
}

impl<'a> Document<'a> {
    /// Reads the text of a document: the elements of its lists stay text until they are needed. The error says what is
    /// no JSON, or that it is no object.
    pub fn parse(text: &'a str) -> serde_json::Result<Self> {
        let keys: BTreeMap<String, &'a RawValue> = serde_json::from_str(text)?;
        let part = |value: &'a RawValue| match serde_json::from_str::<Vec<&'a RawValue>>(value.get()) {
            Ok(elements) => {
                let length = elements.len();
                let element = move |at: usize| elements.get(at).map_or(Value::Null, |element| taken_apart(element));
                Part::List(List { length, element: Box::new(element) })
            }
            Err(_) => Part::Text(value),
        };
        Ok(Self { parts: keys.into_iter().map(|(key, value)| (Cow::Owned(key), part(value))).collect() })
    }

    /// Returns the value of a key; null if it has none.
    pub fn get(&self, key: &str) -> Value {
        self.parts.get(key).map_or(Value::Null, Part::value)
    }

    /// Sets a value.
    pub fn set(&mut self, key: &'static str, value: Value) {
        self.parts.insert(Cow::Borrowed(key), Part::Value(value));
    }

    /// Sets a list by what makes its elements from their places.
    pub fn set_list(&mut self, key: &'static str, length: usize, element: impl Fn(usize) -> Value + 'a) {
        self.parts.insert(Cow::Borrowed(key), Part::List(List { length, element: Box::new(element) }));
    }

    /// Changes each element of a list when it is made.
    pub fn amend(&mut self, key: &'static str, change: impl Fn(usize, &mut Value) + 'a) {
        match self.parts.remove(key) {
            Some(Part::List(List { length, element })) => self.set_list(key, length, move |at| {
                let mut value = element(at);
                change(at, &mut value);
                value
            }),
            other => self.parts.extend(other.map(|part| (Cow::Borrowed(key), part))),
        }
    }

    /// Returns the digest of all keys but its own, and less the figures that differ from run to run.
    pub fn work_out_digest(&self) -> String {
        let content = self.parts.iter().filter(|(key, _)| *key != DIGEST && *key != COST);
        let parts: Vec<String> = content.map(|(key, part)| digest(&json!([key, digest(part)]))).collect();
        digest(&parts)
    }

    /// Puts its digest into it.
    pub fn add_digest(&mut self) {
        let digest = self.work_out_digest();
        self.set(DIGEST, json!(digest));
    }

    /// Returns the digest in it.
    pub fn digest(&self) -> Option<String> {
        self.get(DIGEST).as_str().map(str::to_owned)
    }

    /// Returns it whole.
    pub fn into_value(self) -> Value {
        Value::Object(self.parts.into_iter().map(|(key, part)| (key.into_owned(), part.into_value())).collect())
    }

    /// Writes it over several lines, with what a run cost in one of them: less that line, the same plan has the same
    /// text.
    pub fn write(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let mut lines = Lines { out: io::BufWriter::new(out), line: Vec::new(), in_cost: false };
        serde_json::to_writer_pretty(&mut lines, self)?;
        lines.end()?;
        io::Write::flush(&mut lines.out)
    }

    /// Returns what [`Self::write`] writes.
    pub fn text(&self) -> String {
        let mut text = Vec::new();
        // A list of bytes takes everything.
        let _ = self.write(&mut text);
        String::from_utf8(text).unwrap_or_default()
    }
}

/// Returns a piece of a text as a value.
fn taken_apart(text: &RawValue) -> Value {
    // That it is JSON was found when the whole text was read.
    serde_json::from_str(text.get()).unwrap_or_default()
}

impl Part<'_> {
    fn value(&self) -> Value {
        match self {
            Self::Value(value) => value.clone(),
            Self::Text(text) => taken_apart(text),
            Self::List(List { length, element }) => (0..*length).map(element).collect(),
        }
    }

    fn into_value(self) -> Value {
        match self {
            Self::Value(value) => value,
            other => other.value(),
        }
    }
}

impl From<Value> for Document<'_> {
    fn from(object: Value) -> Self {
        let entries = match object {
            Value::Object(entries) => entries,
            _ => serde_json::Map::new(),
        };
        Self { parts: entries.into_iter().map(|(key, value)| (Cow::Owned(key), Part::Value(value))).collect() }
    }
}

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.parts.len()))?;
        for (key, part) in &self.parts {
            map.serialize_entry(key, part)?;
        }
        map.end()
    }
}

impl Serialize for Part<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Part::Value(value) => value.serialize(serializer),
            Part::Text(text) => taken_apart(text).serialize(serializer),
            Part::List(List { length, element }) => {
                let mut list = serializer.serialize_seq(Some(*length))?;
                for at in 0..*length {
                    list.serialize_element(&element(at))?;
                }
                list.end()
            }
        }
    }
}

/// Lines on their way, of which those of the costs become one.
struct Lines<W> {
    out: W,
    line: Vec<u8>,
    in_cost: bool,
}

impl<W: io::Write> Lines<W> {
    /// Ends a line.
    fn end(&mut self) -> io::Result<()> {
        let line = self.line.as_slice();
        if self.in_cost {
            let part = line.trim_ascii_start();
            self.in_cost = !part.starts_with(b"}");
            self.out.write_all(part)?;
            self.out.write_all(match (self.in_cost, part.ends_with(b",")) {
                (false, _) => b"\n",
                (true, true) => b" ",
                (true, false) => b"",
            })?;
        } else {
            self.in_cost = line == b"  \"cost\": {";
            self.out.write_all(line)?;
            self.out.write_all(if self.in_cost { b"" } else { b"\n" })?;
        }
        self.line.clear();
        Ok(())
    }
}

impl<W: io::Write> io::Write for Lines<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            match part.strip_suffix(b"\n") {
                Some(rest) => {
                    self.line.extend_from_slice(rest);
                    self.end()?;
                }
                None => self.line.extend_from_slice(part),
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> Value {
        json!({
            "changes": [{"at": 0, "text": "a\nb"}, {"at": 1, "text": "a\nb"}],
            "cost": {"reads": 3, "seconds": 0.5},
            "kind": "Plan",
            "none": [],
        })
    }

    fn streamed<'a>() -> Document<'a> {
        let mut document = Document::default();
        document.set("kind", json!("Plan"));
        document.set("cost", json!({"reads": 3, "seconds": 0.5}));
        document.set_list("none", 0, |_| Value::Null);
        document.set_list("changes", 2, |at| json!({"at": at}));
        document.amend("changes", |_, change| change["text"] = json!("a\nb"));
        document
    }

    #[test]
    fn a_document_is_the_same_however_it_is_made() {
        let (mut streamed, whole) = (streamed(), whole().to_string());
        let mut read = Document::parse(&whole).expect("JSON");
        assert_eq!(streamed.text(), read.text());
        streamed.add_digest();
        read.add_digest();
        assert_eq!(streamed.digest(), read.digest());
        assert_eq!(serde_json::to_value(&streamed).expect("a value"), read.into_value());
    }

    #[test]
    fn elements_of_a_text_can_be_changed() {
        let text = whole().to_string();
        let mut read = Document::parse(&text).expect("JSON");
        read.amend("changes", |at, change| change["at"] = json!(at + 5));
        read.amend("kind", |_, _| unreachable!("it is no list"));
        assert_eq!(read.get("changes")[1], json!({"at": 6, "text": "a\nb"}));
        assert_eq!((read.get("kind"), read.get("other")), (json!("Plan"), Value::Null));
    }

    #[test]
    fn what_is_no_object_is_an_error() {
        for text in ["", "[]", "7", "{\"a\": }", "{\"a\": [1,]}", "{\"a\": 1} x"] {
            assert!(Document::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn costs_are_one_line() {
        insta::assert_snapshot!(streamed().text(), @r#"
        {
          "changes": [
            {
              "at": 0,
              "text": "a\nb"
            },
            {
              "at": 1,
              "text": "a\nb"
            }
          ],
          "cost": {"reads": 3, "seconds": 0.5},
          "kind": "Plan",
          "none": []
        }
        "#);
    }

    #[test]
    fn a_digest_leaves_out_the_costs_and_nothing_else() {
        let digest_of = |change: &dyn Fn(&mut Document<'_>)| {
            let mut document = streamed();
            change(&mut document);
            document.add_digest();
            document.digest()
        };
        let plain = digest_of(&|_| {});
        assert_eq!(digest_of(&|document| document.set("cost", json!(1))), plain);
        assert_ne!(digest_of(&|document| document.set("kind", json!("plan"))), plain);
        assert_ne!(digest_of(&|document| document.amend("changes", |_, change| change["at"] = json!(7))), plain);
    }
}
