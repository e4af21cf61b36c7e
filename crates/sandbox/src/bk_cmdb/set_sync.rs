//! The roll-out of set templates to their sets.

use std::{collections::BTreeSet, sync::Arc};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    call::Call,
    filter::Filter,
    module::{insert_of_template, remove},
    page::{Page, matching},
    refusal::{Outcome, Refusal, Reply},
    row::Row,
    service_write::{required_id, required_ids},
    set_template::service_templates,
    task::{self, Task, TaskKind},
    world::{Tables, World},
};

/// The set of a template in a business.
fn of_template(tables: &Tables, business: i64, template: i64, set: i64) -> Option<&Arc<Row>> {
    let row = tables.sets.get(set)?;
    let own = template != 0 && row.int("set_template_id") == template && row.int("bk_biz_id") == business;
    own.then_some(row)
}

/// `sync_set_template_to_set`: a task for each set.
pub(super) fn start(world: &mut World, call: &Call) -> Outcome {
    let business = call.id("bk_biz_id", "bk_biz_id")?;
    let template = call.id("set_template_id", "set_template_id")?;
    let sets = required_ids(&call.args()?, "bk_set_ids")?;
    if sets.iter().any(|set| of_template(&world.tables, business, template, *set).is_none()) {
        return Err(Refusal::new(1_101_011, "Failed to query set information"));
    }
    task::start(world, call, TaskKind::SetTemplate, (business, template), &sets)?;
    Ok(Reply::Nothing)
}

/// What a set has to get and to lose.
struct ModuleChanges {
    /// Service templates of which the set has no module.
    added: Vec<i64>,
    /// Modules whose service templates the set template has not any more.
    removed: Vec<Arc<Row>>,
}

impl ModuleChanges {
    fn of(tables: &Tables, set: &Row) -> Self {
        let services = service_templates(tables, set.int("set_template_id"));
        let wanted: BTreeSet<i64> = services.iter().map(|row| row.int("id")).collect();
        let modules = matching(&tables.modules, &Filter::equal("bk_set_id", set.int("bk_set_id")));
        let has = |service: &i64| modules.iter().any(|row| row.int("service_template_id") == *service);
        Self {
            added: wanted.iter().copied().filter(|service| !has(service)).collect(),
            removed: modules
                .iter()
                .filter(|row| !wanted.contains(&row.int("service_template_id")))
                .map(|row| Arc::clone(row))
                .collect(),
        }
    }

    fn is_any(&self) -> bool {
        !(self.added.is_empty() && self.removed.is_empty())
    }
}

/// The states of the sets of a template.
pub(super) fn states(_: &World, tables: &Tables, call: &Call) -> Outcome {
    let business = call.id("bk_biz_id", "bk_biz_id")?;
    let args = call.args()?;
    let template = required_id(&args, "set_template_id")?;
    let named = args.ints("bk_set_ids")?;
    let page = Page::of(&args)?;
    let made = Filter::equal("set_template_id", template).and(Filter::equal("bk_biz_id", business));
    let sets = matching(&tables.sets, &made);
    let states = sets.iter().filter(|row| named.is_empty() || named.contains(&row.int("bk_set_id"))).map(|set| {
        let id = set.int("bk_set_id");
        let task = task::newest(tables, TaskKind::SetTemplate, id);
        task::state(id, task, ModuleChanges::of(tables, set).is_any(), Some(set))
    });
    let states: Vec<Value> = states.flatten().collect();
    let count = states.len();
    Ok(Reply::Json(json!({"count": count, "info": page.cut(states.into_iter())})))
}

/// Carries out a task, module by module; returns false where one fails. A module with hosts is not removed.
pub(super) fn run(world: &mut World, task: &Task, time: Timestamp) -> bool {
    let set = of_template(&world.tables, task.business, task.template, task.target).cloned();
    let Some(set) = set else { return task.fails_after.is_none() };
    let changes = ModuleChanges::of(&world.tables, &set);
    let mut steps = task.fails_after.unwrap_or(usize::MAX);
    let mut step = |world: &mut World, make: &dyn Fn(&mut World) -> Result<(), Refusal>| {
        let Some(left) = steps.checked_sub(1) else { return false };
        steps = left;
        world.begin(time);
        let done = make(world).is_ok();
        if done {
            world.commit();
        } else {
            world.roll_back();
        }
        done
    };
    changes.added.iter().all(|service| step(world, &|world| insert_of_template(world, &task.call, &set, *service)))
        && changes.removed.iter().all(|module| step(world, &|world| remove(world, &task.call, module)))
        && task.fails_after.is_none()
}
