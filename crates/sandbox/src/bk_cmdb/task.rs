//! Asynchronous tasks: a call asks for them, and some time later they are carried out, one after another.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;

use super::{
    call::Call,
    moment,
    refusal::Refusal,
    row::Row,
    service_sync,
    service_write::cell,
    set_sync,
    world::{Place, Tables, World},
};

/// The states of tasks that are not over.
const OPEN: [&str; 3] = ["new", "waiting", "executing"];

/// The cell of a task that goes wrong: how often it still does and in which way.
const FAULT: &str = "fault";

/// What a task brings into line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TaskKind {
    /// Modules with their service template.
    ServiceTemplate,
    /// Sets with their set template.
    SetTemplate,
}

impl TaskKind {
    fn text(self) -> &'static str {
        match self {
            Self::ServiceTemplate => "service_template",
            Self::SetTemplate => "set_template",
        }
    }
}

/// A task to be carried out.
pub(super) struct Task {
    pub(super) business: i64,
    /// The service template or set template.
    pub(super) template: i64,
    /// The module or set.
    pub(super) target: i64,
    /// The call in whose name it runs.
    pub(super) call: Call,
    /// The number of hosts after which it fails by a fault.
    pub(super) fails_after: Option<usize>,
}

/// How a task goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TaskFault {
    /// It fails once it has dealt with some hosts.
    Fails { after: u64 },
    /// It hangs for some milliseconds and is then put back.
    Hangs { ms: i64 },
}

fn is_open(row: &Row) -> bool {
    OPEN.contains(&row.text("status"))
}

/// Returns the newest task of a module or set.
pub(super) fn newest(tables: &Tables, kind: TaskKind, target: i64) -> Option<&Row> {
    let ids = tables.tasks.ids("bk_inst_id", &[target.into()])?;
    let mut rows = ids.iter().rev().filter_map(|id| tables.tasks.get(*id));
    rows.find(|row| row.text("kind") == kind.text()).map(|row| &**row)
}

/// Returns the state of a module or set as the reads show it; `row` has the times where there is no task.
pub(super) fn state(id: i64, task: Option<&Row>, differs: bool, row: Option<&Row>) -> Option<Value> {
    let times = task.or(row)?;
    let mut state = Row::of([("bk_inst_id", id.into()), ("status", status(task, differs).into())]);
    if let Some(task) = task {
        state.set("creator", task.text("creator"));
    }
    for name in ["create_time", "last_time"] {
        state.set(name, cell(times, name));
    }
    Some(state.to_value())
}

/// Returns the status of a module or set: that of its newest task, mixed with a comparison made now.
fn status(task: Option<&Row>, differs: bool) -> &str {
    match (task.map(|row| row.text("status")), differs) {
        (None | Some("finished"), true) => "need_sync",
        (Some(status), true) => status,
        (_, false) => "finished",
    }
}

/// Starts a task for each target; one that is not over refuses all.
pub(super) fn start(
    world: &mut World,
    call: &Call,
    kind: TaskKind,
    (business, template): (i64, i64),
    targets: &[i64],
) -> Result<(), Refusal> {
    let busy: Vec<&i64> =
        targets.iter().filter(|target| newest(&world.tables, kind, **target).is_some_and(is_open)).collect();
    if !busy.is_empty() {
        let text = format!(
            "The same task [{busy:?}] is being executed, please try again after the current task is \
                            executed"
        );
        return Err(Refusal::new(1_117_008, text));
    }
    let due = world.clock().as_millisecond().saturating_add(world.task_delay);
    let now = world.now_text();
    // A target that is named twice gets one task.
    for target in targets.iter().collect::<BTreeSet<_>>() {
        let id = world.tables.tasks.next_id();
        let row = Row::of([
            ("id", id.into()),
            ("kind", kind.text().into()),
            ("bk_biz_id", business.into()),
            ("template", template.into()),
            ("bk_inst_id", (*target).into()),
            ("status", "new".into()),
            ("creator", call.user.as_str().into()),
            ("create_time", now.as_str().into()),
            ("last_time", now.as_str().into()),
            ("due", due.into()),
        ]);
        world.put(Place::Tasks, id, Some(row));
    }
    Ok(())
}

/// Makes the tasks of the write under way go wrong.
pub(super) fn inject(world: &mut World, fault: TaskFault) {
    let tasks: Vec<(i64, Row)> = world
        .pending()
        .iter()
        .filter(|change| change.place == Place::Tasks)
        .filter_map(|change| Some((change.id, (**change.after.as_ref()?).clone())))
        .collect();
    let (name, value) = match fault {
        TaskFault::Fails { after } => ("fails_after", Value::from(after)),
        TaskFault::Hangs { ms } => ("hangs", Value::from(ms)),
    };
    for (id, mut row) in tasks {
        row.set(FAULT, name);
        row.set(name, value.clone());
        world.replace(&Place::Tasks, id, row.into());
    }
}

/// Returns the first task that is due.
fn due(tables: &Tables, now: Timestamp) -> Option<(i64, &Row)> {
    let open = tables.tasks.ids("status", &OPEN.map(Value::from))?;
    let rows = open.into_iter().filter_map(|id| Some((id, &**tables.tasks.get(id)?)));
    let due = rows.filter(|(_, row)| row.int("due") <= now.as_millisecond());
    due.min_by_key(|(id, row)| (row.int("due"), *id))
}

/// Returns true if a task is due.
pub(super) fn is_due(tables: &Tables, now: Timestamp) -> bool {
    due(tables, now).is_some()
}

/// Carries out what is due.
pub(super) fn advance(world: &mut World, now: Timestamp) {
    while let Some((id, row)) = due(&world.tables, now) {
        let mut row = row.clone();
        let time = Timestamp::from_millisecond(row.int("due")).unwrap_or(now);
        let (status, wait) = step(world, &row, time);
        world.begin(time);
        row.set("status", status);
        row.set("due", row.int("due").saturating_add(wait.unwrap_or(0)));
        row.set("last_time", moment::text(time));
        row.set(FAULT, Value::Null);
        world.put(Place::Tasks, id, Some(row));
        world.commit();
    }
}

/// Takes a task one step on; returns its status and the milliseconds until its next step.
fn step(world: &mut World, row: &Row, time: Timestamp) -> (&'static str, Option<i64>) {
    let fault = row.text(FAULT);
    if fault == "hangs" {
        return ("executing", Some(row.int("hangs")));
    }
    if row.text("status") == "executing" {
        return ("waiting", Some(world.task_delay));
    }
    let fails_after = (fault == "fails_after").then(|| usize::try_from(row.int("fails_after")).unwrap_or(0));
    let task = Task {
        business: row.int("bk_biz_id"),
        template: row.int("template"),
        target: row.int("bk_inst_id"),
        call: Call::of_user(row.text("creator")),
        fails_after,
    };
    let done = if row.text("kind") == TaskKind::ServiceTemplate.text() {
        service_sync::run(world, &task, time)
    } else {
        set_sync::run(world, &task, time)
    };
    (if done { "finished" } else { "failure" }, None)
}
