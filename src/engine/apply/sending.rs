//! Calls on their way: with the ids of created objects filled in, and for some of their objects alone.

use std::{collections::HashMap, sync::Arc, time::Duration};

use serde_json::Value;

use super::Run;
use crate::{
    model::{Call, Outcome, Refusal, Request, ResourceId, placeholder_of, placeholder_part},
    provider::Planned,
};

/// A call that is to be sent.
#[derive(Debug, Clone)]
pub(super) struct Sending<'a> {
    /// The call of the plan.
    pub(super) call: &'a Call,
    /// The request with the ids of created objects; for some of the call's objects alone, if there are fewer here.
    pub(super) request: Request,
    /// The objects that it is sent for.
    pub(super) serves: Vec<&'a ResourceId>,
}

impl<'a> Run<'a> {
    /// Returns a call for those of its objects that are still open. Those that need what did not come about are booked.
    pub(super) fn prepared(&mut self, call: &'a Call) -> Option<Sending<'a>> {
        let (mut open, mut skipped) = (Vec::with_capacity(call.serves.len()), Vec::new());
        for id in call.serves.iter().filter(|id| !self.outcomes.contains_key(*id)) {
            match self.unmet(id) {
                None => open.push(id),
                Some(needed) => skipped.push((id, needed)),
            }
        }
        let mut request = call.request.clone();
        fill(&mut request.arguments, &self.handles);
        let sending = Sending { call, request, serves: call.serves.iter().collect() };
        let first = skipped.first().map(|(_, needed)| needed.clone());
        for (id, needed) in skipped {
            self.finish(id, Outcome::Skipped(needed), Duration::ZERO);
        }
        if open.is_empty() {
            return None;
        }
        match (self.narrowed(&sending, &open), first) {
            (Some(sending), _) => Some(sending),
            // It can only be sent whole.
            (None, None) => Some(Sending { serves: open, ..sending }),
            (None, Some(needed)) => {
                open.into_iter().for_each(|id| self.finish(id, Outcome::Skipped(needed.clone()), Duration::ZERO));
                None
            }
        }
    }

    /// Returns what a change needs and did not get; `None` if it has all.
    fn unmet(&self, id: &ResourceId) -> Option<ResourceId> {
        let needs = &self.changes.get(id)?.after;
        needs.iter().find(|needed| !self.outcomes.get(*needed).is_some_and(Outcome::converged)).cloned()
    }

    /// Returns a call for some of its objects; `None` if it can only be sent whole.
    pub(super) fn narrowed(&self, sending: &Sending<'a>, some: &[&'a ResourceId]) -> Option<Sending<'a>> {
        if some.len() == sending.serves.len() {
            return Some(sending.clone());
        }
        let kind = self.kind(some.first()?)?;
        let planned: Vec<Planned<'_>> = some.iter().map(|id| self.planned(id)).collect::<Option<_>>()?;
        let request = kind.narrowed(&sending.request, &planned)?;
        Some(Sending { call: sending.call, request, serves: some.to_vec() })
    }

    /// Returns the halves of a call that was refused as a whole, where one of its objects may be the cause: in the end
    /// that one is refused alone, and the others are written.
    pub(super) fn parts(&self, sending: &Sending<'a>, refusal: &Refusal) -> Option<Vec<Sending<'a>>> {
        let count = sending.serves.len();
        if count < 2 || refusal.lost || !self.kind(sending.serves[0])?.is_about_some(refusal) {
            return None;
        }
        let (one, other) = sending.serves.split_at(count / 2);
        Some(vec![self.narrowed(sending, one)?, self.narrowed(sending, other)?])
    }

    /// Returns calls that are sent again, each once and for those of its objects that need it.
    pub(super) fn gathered(&self, again: Vec<(Arc<Sending<'a>>, &'a ResourceId)>) -> Vec<Sending<'a>> {
        let mut calls: Vec<(Arc<Sending<'a>>, Vec<&'a ResourceId>)> = Vec::new();
        for (sending, id) in again {
            match calls.last_mut().filter(|(last, _)| Arc::ptr_eq(last, &sending)) {
                Some((_, ids)) => ids.push(id),
                None => calls.push((sending, vec![id])),
            }
        }
        let call = |(sending, ids): (Arc<Sending<'a>>, Vec<&'a ResourceId>)| {
            self.narrowed(&sending, &ids).unwrap_or_else(|| Sending { serves: ids, ..(*sending).clone() })
        };
        calls.into_iter().map(call).collect()
    }
}

/// Puts the ids of objects that the run created where the plan had placeholders.
fn fill(value: &mut Value, handles: &HashMap<String, Value>) {
    if let Some(handle) = placeholder_of(value).and_then(|address| handles.get(address)) {
        *value = placeholder_part(value).map_or_else(|| handle.clone(), |part| handle[part].clone());
        return;
    }
    match value {
        Value::Object(entries) => {
            entries.values_mut().for_each(|value| fill(value, handles));
        }
        Value::Array(items) => items.iter_mut().for_each(|value| fill(value, handles)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
