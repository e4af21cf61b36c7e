//! The state: all tables, counters and records, and the one way to change a row.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use jiff::{Timestamp, tz::TimeZone};
use serde_json::Value;

use super::{
    attribute::{Attribute, Context, Schema},
    audit::Record,
    operation::Offer,
    replica::Replica,
    row::{Names, Row},
    table::{KeyType, Table, Unique},
};

/// The models that the common instance operations refuse (section 4.1).
pub(super) const INNER: [&str; 8] = ["biz", "set", "module", "host", "process", "plat", "bk_biz_set_obj", "bk_project"];

/// The kind of association that makes the topology.
pub(super) const MAIN_LINE: &str = "bk_mainline";

/// Names a table.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Place {
    Businesses,
    Sets,
    Modules,
    /// Instances of a model.
    Instances(String),
    /// Rows of an inner-table attribute of a model.
    Quoted(String, String),
    Associations,
    Attributes,
    ServiceCategories,
    ServiceTemplates,
    ProcessTemplates,
    TemplateAttributes,
    SetTemplates,
    SetTemplateMembers,
    HostRelations,
    ServiceInstances,
    Tasks,
}

/// The rows of an inner-table attribute, and the attributes that they have.
#[derive(Debug, Clone)]
pub(super) struct Quoted {
    pub(super) table: Table,
    pub(super) schema: Schema,
}

/// All tables.
#[derive(Debug, Clone)]
pub(super) struct Tables {
    pub(super) businesses: Table,
    pub(super) sets: Table,
    pub(super) modules: Table,
    pub(super) objects: Table,
    pub(super) attributes: Table,
    pub(super) uniques: Table,
    pub(super) object_associations: Table,
    pub(super) association_kinds: Table,
    pub(super) instances: BTreeMap<String, Table>,
    /// Rows of inner tables by model and attribute.
    pub(super) quoted: BTreeMap<(String, String), Quoted>,
    pub(super) associations: Table,
    pub(super) service_categories: Table,
    pub(super) service_templates: Table,
    pub(super) process_templates: Table,
    /// Values of module attributes that service templates fix.
    pub(super) template_attributes: Table,
    /// Custom layers between business and set.
    pub(super) layers: BTreeSet<String>,
    /// Pairs of host and module, numbered as they came.
    pub(super) host_relations: Table,
    /// Service instances with their processes.
    pub(super) service_instances: Table,
    pub(super) set_templates: Table,
    /// Pairs of set template and service template, numbered as they came.
    pub(super) set_template_members: Table,
    /// Asynchronous tasks, which are no part of a state.
    pub(super) tasks: Table,
    /// Parsed attributes by model.
    pub(super) schemas: HashMap<String, Schema>,
}

impl Default for Tables {
    fn default() -> Self {
        let unique = |fields: &[(&str, KeyType)]| {
            Unique::on(fields.iter().map(|(field, kind)| (Arc::from(*field), *kind)).collect())
        };
        let (text, number) = (KeyType::Text, KeyType::Number);
        let ends = ["bk_obj_asst_id", "bk_obj_id", "bk_inst_id", "bk_asst_obj_id", "bk_asst_inst_id"];
        let triple = [("bk_obj_asst_id", text), ("bk_inst_id", number), ("bk_asst_inst_id", number)];
        let module = [("bk_biz_id", number), ("bk_set_id", number), ("bk_module_name", text)];
        let set = [("bk_biz_id", number), ("bk_set_name", text), ("bk_parent_id", number)];
        Self {
            businesses: Table::new("bk_biz_id", vec![unique(&[("bk_biz_name", text)])], &[]),
            sets: Table::new("bk_set_id", vec![unique(&set)], &["bk_biz_id", "bk_set_name"]),
            modules: Table::new(
                "bk_module_id",
                vec![unique(&module)],
                &["bk_set_id", "bk_biz_id", "bk_module_name", "service_template_id"],
            ),
            objects: Table::new("id", vec![unique(&[("bk_obj_id", text)])], &[]),
            attributes: Table::new("id", Vec::new(), &["bk_obj_id"]),
            uniques: Table::new("id", Vec::new(), &["bk_obj_id"]),
            object_associations: Table::new(
                "id",
                vec![unique(&[("bk_obj_asst_id", text)])],
                &["bk_obj_id", "bk_asst_obj_id"],
            ),
            association_kinds: Table::new("id", vec![unique(&[("bk_asst_id", text)])], &[]),
            instances: BTreeMap::new(),
            quoted: BTreeMap::new(),
            associations: Table::new("id", vec![unique(&triple)], &ends),
            service_categories: Table::new("id", Vec::new(), &[]),
            service_templates: Table::new("id", Vec::new(), &["bk_biz_id", "name"]),
            process_templates: Table::new("id", Vec::new(), &["service_template_id"]),
            template_attributes: Table::new("id", Vec::new(), &["service_template_id", "bk_attribute_id"]),
            layers: BTreeSet::new(),
            host_relations: Table::new("", Vec::new(), &["bk_host_id", "bk_module_id", "bk_set_id", "bk_biz_id"]),
            service_instances: Table::new(
                "id",
                Vec::new(),
                &["bk_module_id", "bk_host_id", "service_template_id", "bk_biz_id"],
            ),
            set_templates: Table::new("id", vec![unique(&[("bk_biz_id", number), ("name", text)])], &["bk_biz_id"]),
            set_template_members: Table::new("", Vec::new(), &["set_template_id", "service_template_id"]),
            tasks: Table::new("id", Vec::new(), &["bk_inst_id", "status"]),
            schemas: HashMap::new(),
        }
    }
}

impl Tables {
    /// Returns a table.
    pub(super) fn at(&self, place: &Place) -> Option<&Table> {
        Some(match place {
            Place::Businesses => &self.businesses,
            Place::Sets => &self.sets,
            Place::Modules => &self.modules,
            Place::Instances(model) => return self.instances.get(model),
            Place::Quoted(model, property) => &self.quoted.get(&(model.clone(), property.clone()))?.table,
            Place::Associations => &self.associations,
            Place::Attributes => &self.attributes,
            Place::ServiceCategories => &self.service_categories,
            Place::ServiceTemplates => &self.service_templates,
            Place::ProcessTemplates => &self.process_templates,
            Place::TemplateAttributes => &self.template_attributes,
            Place::SetTemplates => &self.set_templates,
            Place::SetTemplateMembers => &self.set_template_members,
            Place::HostRelations => &self.host_relations,
            Place::ServiceInstances => &self.service_instances,
            Place::Tasks => &self.tasks,
        })
    }

    /// Stores or removes a row.
    pub(super) fn put(&mut self, place: &Place, id: i64, row: Option<Arc<Row>>) -> Option<Arc<Row>> {
        let table = match place {
            Place::Businesses => &mut self.businesses,
            Place::Sets => &mut self.sets,
            Place::Modules => &mut self.modules,
            Place::Instances(model) => self.instances.get_mut(model)?,
            Place::Quoted(model, property) => &mut self.quoted.get_mut(&(model.clone(), property.clone()))?.table,
            Place::Associations => &mut self.associations,
            Place::Attributes => return self.put_attribute(id, row),
            Place::ServiceCategories => &mut self.service_categories,
            Place::ServiceTemplates => &mut self.service_templates,
            Place::ProcessTemplates => &mut self.process_templates,
            Place::TemplateAttributes => &mut self.template_attributes,
            Place::SetTemplates => &mut self.set_templates,
            Place::SetTemplateMembers => &mut self.set_template_members,
            Place::HostRelations => &mut self.host_relations,
            Place::ServiceInstances => &mut self.service_instances,
            Place::Tasks => &mut self.tasks,
        };
        table.put(id, row)
    }

    /// Returns the table that holds the instances of a model, built-in or not.
    pub(super) fn of_model(&self, model: &str) -> Option<&Table> {
        match model {
            "biz" => Some(&self.businesses),
            "set" => Some(&self.sets),
            "module" => Some(&self.modules),
            _ => self.instances.get(model),
        }
    }

    /// Returns a model's definition.
    pub(super) fn object(&self, model: &str) -> Option<&Arc<Row>> {
        let ids = self.objects.ids("bk_obj_id", &[Value::from(model)])?;
        self.objects.get(*ids.first()?)
    }

    /// Returns the attributes of a model, `None` for an unknown one.
    pub(super) fn schema(&self, model: &str) -> &Schema {
        static EMPTY: std::sync::LazyLock<Schema> = std::sync::LazyLock::new(Schema::default);
        self.schemas.get(model).unwrap_or(&EMPTY)
    }

    /// Stores or removes an attribute and learns its model's schema anew.
    fn put_attribute(&mut self, id: i64, row: Option<Arc<Row>>) -> Option<Arc<Row>> {
        let model = row.as_ref().map(|row| row.text("bk_obj_id").to_owned());
        let before = self.attributes.put(id, row);
        let model = model.or_else(|| before.as_ref().map(|row| row.text("bk_obj_id").to_owned()))?;
        self.schemas.remove(&model);
        let ids = self.attributes.ids("bk_obj_id", &[model.as_str().into()]).unwrap_or_default();
        let rows: Vec<Arc<Row>> = ids.into_iter().filter_map(|id| self.attributes.get(id).cloned()).collect();
        rows.iter().for_each(|row| self.learn(row));
        super::built_in::hidden(&model).iter().for_each(|row| self.learn(row));
        before
    }

    /// Adds an attribute to its model's schema.
    pub(super) fn learn(&mut self, row: &Row) {
        self.schemas.entry(row.text("bk_obj_id").to_owned()).or_default().add(Attribute::of(row));
    }
}

/// The cell that holds the id of a model's instances.
pub(super) fn id_field(model: &str) -> &'static str {
    match model {
        "biz" => "bk_biz_id",
        "set" => "bk_set_id",
        "module" => "bk_module_id",
        "host" => "bk_host_id",
        "process" => "bk_process_id",
        "plat" => "bk_cloud_id",
        "bk_biz_set_obj" => "bk_biz_set_id",
        _ => "bk_inst_id",
    }
}

/// The cell that holds the name of a model's instances.
pub(super) fn name_field(model: &str) -> &'static str {
    match model {
        "biz" => "bk_biz_name",
        "set" => "bk_set_name",
        "module" => "bk_module_name",
        "host" => "bk_host_innerip",
        "process" => "bk_process_name",
        "plat" => "bk_cloud_name",
        "bk_biz_set_obj" => "bk_biz_set_name",
        "bk_project" => "bk_project_name",
        _ => "bk_inst_name",
    }
}

/// One row before and after.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) place: Place,
    pub(super) id: i64,
    pub(super) before: Option<Arc<Row>>,
    pub(super) after: Option<Arc<Row>>,
    /// When it was committed.
    pub(super) time: Timestamp,
    /// Its place in the order of all changes, which is also the cursor of a watch.
    pub(super) number: u64,
}

/// Application and user names that the front doors know.
#[derive(Debug, Clone, Default)]
pub(super) struct Credentials {
    /// Secrets by application code.
    pub(super) apps: BTreeMap<String, String>,
    pub(super) users: Vec<String>,
    /// Users by login token.
    pub(super) tokens: BTreeMap<String, String>,
}

/// A server version that differs from its neighbours in what section 6 lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Version {
    V3_9,
    V3_10,
    V3_14,
}

/// The whole state.
#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) tables: Tables,
    /// The state that reads of a secondary see while it lags.
    pub(super) replica: Option<Replica>,
    pub(super) names: Names,
    pub(super) version: Version,
    /// True if the ESB and the gateway serve what they do not publish.
    pub(super) hidden_operations: bool,
    /// Milliseconds from a call to the execution of the tasks that it starts.
    pub(super) task_delay: i64,
    pub(super) zone: TimeZone,
    pub(super) next_ids: BTreeMap<String, i64>,
    pub(super) credentials: Credentials,
    pub(super) audit: Vec<Record>,
    /// Committed changes, for watches.
    pub(super) changes: VecDeque<Change>,
    pub(super) change_count: u64,
    /// The number before the first change that is kept.
    pub(super) first_change: u64,
    pending: Vec<Change>,
    pending_audit: Vec<Record>,
    now: Timestamp,
    /// What the clock said when the write under way began.
    clock: Timestamp,
}

/// How many changes are kept for watches.
const CHANGES: usize = 100_000;

/// The milliseconds that tasks wait unless told otherwise.
const TASK_DELAY: i64 = 1000;

impl World {
    /// An empty state of the newest version.
    pub(super) fn new() -> Self {
        Self {
            tables: Tables::default(),
            replica: None,
            names: Names::default(),
            version: Version::V3_14,
            hidden_operations: true,
            task_delay: TASK_DELAY,
            zone: TimeZone::UTC,
            next_ids: BTreeMap::new(),
            credentials: Credentials::default(),
            audit: Vec::new(),
            changes: VecDeque::new(),
            change_count: 0,
            first_change: 0,
            pending: Vec::new(),
            pending_audit: Vec::new(),
            now: Timestamp::UNIX_EPOCH,
            clock: Timestamp::UNIX_EPOCH,
        }
    }

    /// Returns what the server offers.
    pub(super) fn offer(&self) -> Offer {
        Offer { version: self.version, hidden: self.hidden_operations, everything: false }
    }

    /// Starts a write at a time. Two writes never share a time, so that `last_time` always moves.
    pub(super) fn begin(&mut self, now: Timestamp) {
        let millis = now.as_millisecond().max(self.now.as_millisecond() + 1);
        self.now = Timestamp::from_millisecond(millis).unwrap_or(now);
        self.clock = now;
        self.pending.clear();
        self.pending_audit.clear();
    }

    /// Forgets the last time, since the clock was set, maybe back.
    pub(super) fn restart_clock(&mut self) {
        self.now = Timestamp::UNIX_EPOCH;
        if let Some(replica) = &self.replica {
            self.replica = Some(Replica::new(&self.tables, replica.lag));
        }
    }

    /// The time of the write under way.
    pub(super) fn now(&self) -> Timestamp {
        self.now
    }

    /// The time of the clock, which a quick row of writes may be ahead of.
    pub(super) fn clock(&self) -> Timestamp {
        self.clock
    }

    /// The time of the write under way as rows show it.
    pub(super) fn now_text(&self) -> String {
        super::moment::text(self.now)
    }

    /// Stores or removes a row as part of the write under way.
    pub(super) fn put(&mut self, place: Place, id: i64, row: Option<Row>) {
        let after = row.map(Arc::new);
        let before = self.tables.put(&place, id, after.clone());
        self.pending.push(Change { place, id, before, after, time: self.now, number: 0 });
    }

    /// Adds a row to a table whose rows have no id of their own, as part of the write under way.
    pub(super) fn append(&mut self, place: Place, row: Row) {
        let id = self.tables.at(&place).map_or(1, Table::next_id);
        self.put(place, id, Some(row));
    }

    /// Notes an audit record as part of the write under way.
    pub(super) fn note(&mut self, record: Record) {
        self.pending_audit.push(record);
    }

    /// Makes the write under way final.
    pub(super) fn commit(&mut self) {
        for mut change in std::mem::take(&mut self.pending) {
            self.change_count += 1;
            change.number = self.change_count;
            if let Some(replica) = &mut self.replica {
                replica.follow(change.clone());
            }
            if self.changes.len() == CHANGES {
                self.first_change = self.changes.pop_front().map_or(0, |change| change.number);
            }
            self.changes.push_back(change);
        }
        for mut record in std::mem::take(&mut self.pending_audit) {
            record.id = self.audit.len() as u64 + 1;
            self.audit.push(record);
        }
    }

    /// Takes back the write under way.
    pub(super) fn roll_back(&mut self) {
        for change in std::mem::take(&mut self.pending).into_iter().rev() {
            self.tables.put(&change.place, change.id, change.before);
        }
        self.pending_audit.clear();
    }

    /// Returns the changes of the write under way.
    pub(super) fn pending(&self) -> &[Change] {
        &self.pending
    }

    /// Stores another row than the write under way did.
    pub(super) fn replace(&mut self, place: &Place, id: i64, row: Arc<Row>) {
        self.tables.put(place, id, Some(Arc::clone(&row)));
        if let Some(change) = self.pending.iter_mut().rev().find(|change| change.place == *place && change.id == id) {
            change.after = Some(row);
        }
    }

    /// Gives out the next id of a sequence. Ids never come back, not even after a roll-back.
    pub(super) fn next_id(&mut self, sequence: &str) -> i64 {
        let next = self.next_ids.entry(sequence.to_owned()).or_insert(1);
        let id = *next;
        *next += 1;
        id
    }

    /// Gives out the next instance id: the instances of all common models share one sequence.
    pub(super) fn next_instance_id(&mut self) -> i64 {
        let common: Vec<String> =
            self.tables.instances.keys().filter(|model| !INNER.contains(&model.as_str())).cloned().collect();
        let id = common.iter().filter_map(|model| self.next_ids.get(model)).copied().max().unwrap_or(1);
        for model in common {
            self.next_ids.insert(model, id + 1);
        }
        id
    }

    /// Returns the surroundings that the validation of attributes needs.
    pub(super) fn context(&self) -> Context<'_> {
        Context { zone: &self.zone, instances: &self.tables.instances }
    }
}
