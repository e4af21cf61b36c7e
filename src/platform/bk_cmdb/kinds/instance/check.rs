//! Instances against the definition of their model.

use super::{attribute_changes, model_of, observe, parent};
use crate::{
    model::{Desired, Json},
    platform::bk_cmdb::{
        kinds::{decode_common::observed_after, select_instances},
        lookup,
    },
    provider::{Facts, Observation},
};

pub(super) fn check(desired: &[&Desired], all: &[&Desired], facts: &Facts) -> Observation {
    let mut observation = Observation::default();
    for document in desired {
        let business = if document.locate("business").is_some_and(Json::is_string) {
            observe::business_of(&[document], all, facts, &mut observation).map(|_| ())
        } else {
            Ok(())
        };
        match (lookup::definition(model_of(document), &mut observation, facts), business) {
            (Err(error), _) => {
                observation.know_if(&document.id, observed_after(&error, document));
            }
            (_, Err(observed)) => observation.know_if(&document.id, observed),
            (Ok(definition), Ok(())) => {
                let mut problems: Vec<_> = select_instances::selectors(document, "", &definition, facts)
                    .err()
                    .into_iter()
                    .map(|problem| *problem)
                    .collect();
                let declared: Vec<_> = document.fields.iter().map(|(path, value)| (path.as_str(), value)).collect();
                problems.extend(attribute_changes(&declared, None, &definition, facts).err().unwrap_or_default());
                match parent::check(document, all, &mut observation, facts) {
                    Ok(found) => problems.extend(found),
                    Err(error) => {
                        observation.know_if(&document.id, observed_after(&error, document));
                        continue;
                    }
                }
                observation.checked(&document.id, problems);
            }
        }
    }
    observation
}
