//! The names of exported documents: unique for each kind, and the same in each run.

use std::collections::{HashMap, HashSet};

use crate::{
    model::{ARROW, stable_hash},
    provider::ExportedObject,
};

/// The names that documents have.
#[derive(Default)]
pub(in crate::cli) struct Names {
    /// The digests of kinds and names: there may be very many, and one that is taken for another costs a suffix alone.
    taken: HashSet<u64>,
    instances: HashMap<Box<str>, HashMap<i64, Box<str>>>,
}

impl Names {
    /// Notes a name that a document has already.
    pub(in crate::cli) fn take(&mut self, kind: &'static str, name: &str) {
        self.taken.insert(stable_hash(&(kind, name)));
    }

    /// Forgets the instances of another target, to which none of this one can refer.
    pub(in crate::cli) fn begin_target(&mut self) {
        self.instances.clear();
    }

    /// Notes the name of the document of an instance.
    pub(in crate::cli) fn name_instance(&mut self, model: &str, id: i64, name: &str) {
        self.instances.entry(model.into()).or_default().insert(id, name.into());
    }

    /// Returns the name of the document of an instance; `None` if it has none.
    pub(in crate::cli) fn of_instance(&self, model: &str, id: i64) -> Option<String> {
        Some(self.instances.get(model)?.get(&id)?.to_string())
    }

    /// Chooses the name of a document: that of its object, with its id where another document has that name.
    pub(in crate::cli) fn choose(&mut self, kind: &'static str, object: &ExportedObject) -> String {
        let handle = object.handles.first().map(String::as_str).unwrap_or_default();
        let plain = allowed(&object.title);
        let base = if plain.is_empty() { format!("{}-{handle}", kind.to_lowercase()) } else { plain };
        let model = object.instance.iter().map(|(model, _)| format!("{base}-{model}"));
        let candidates = std::iter::once(base.clone()).chain(model).chain([format!("{base}-{handle}")]);
        let numbered = (2..).map(|number| format!("{base}-{handle}-{number}"));
        let is_free = |name: &String| !self.taken.contains(&stable_hash(&(kind, &**name)));
        let name = candidates.chain(numbered).find(is_free).unwrap_or(base);
        self.take(kind, &name);
        if let Some((model, id)) = &object.instance {
            self.name_instance(model, *id, &name);
        }
        name
    }
}

/// Returns a text as a name of a document, which holds no control characters and no arrow of an address.
fn allowed(title: &str) -> String {
    let title: String = title.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    title.replace(ARROW, "-").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::write::Tree;

    #[test]
    fn each_document_gets_a_name_of_its_own() {
        let mut names = Names::default();
        let mut check = |title: &str, model: &str, id: i64, expected: &str| {
            let object = ExportedObject {
                title: title.to_owned(),
                handles: vec![id.to_string()],
                instance: Some((model.to_owned(), id)),
                group: Vec::new(),
                note: String::new(),
                spec: Tree::Map(Vec::new()),
                left: Vec::new(),
            };
            assert_eq!(names.choose("Instance", &object), expected);
            assert_eq!(names.of_instance(model, id).as_deref(), Some(expected));
        };
        check("a", "switch", 1, "a");
        check("a", "rack", 2, "a-rack");
        check("a", "rack", 3, "a-3");
        check("a-rack", "rack", 4, "a-rack-rack");
        check(" b\n → c ", "rack", 5, "b -c");
        check("\t", "rack", 6, "instance-6");
        check("", "rack", 6, "instance-6-rack");
        assert_eq!(names.of_instance("rack", 7), None);
    }
}
