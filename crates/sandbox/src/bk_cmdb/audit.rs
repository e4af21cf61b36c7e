//! Audit records of writes, and their reads.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    call::Call,
    filter::Filter,
    moment,
    page::Page,
    refusal::{Outcome, Refusal, Reply},
    row::Row,
    world::World,
};

/// One audit record, as POST /find/audit shows it.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) id: u64,
    audit_type: &'static str,
    resource_type: &'static str,
    action: &'static str,
    user: String,
    app: Option<String>,
    rid: String,
    time: Timestamp,
    clock: String,
    resource_id: i64,
    resource_name: String,
    business: Option<i64>,
    model: String,
    detail: Value,
}

/// A row that a write touches.
pub(super) struct Subject<'a> {
    /// The model.
    pub(super) model: &'a str,
    /// The row's id.
    pub(super) id: i64,
    /// The row's name; before a rename, the old one.
    pub(super) name: &'a str,
    /// The business of a set or module.
    pub(super) business: Option<i64>,
}

impl Record {
    fn new(world: &World, call: &Call, subject: &Subject<'_>, action: &'static str, detail: Value) -> Self {
        let (audit_type, resource_type) = match subject.model {
            "module" => ("business_resource", "module"),
            "set" => ("business_resource", "set"),
            "service_instance" => ("business_resource", "service_instance"),
            "host" => ("host", "host"),
            "biz" => ("business", "business"),
            _ => ("model_instance", "model_instance"),
        };
        Self {
            id: 0,
            audit_type,
            resource_type,
            action,
            user: call.user.clone(),
            app: call.app.clone(),
            rid: call.rid.clone(),
            time: world.now(),
            clock: moment::plain_text_in(world.now(), &world.zone),
            resource_id: subject.id,
            resource_name: subject.name.to_owned(),
            business: subject.business,
            model: subject.model.to_owned(),
            detail,
        }
    }

    /// A create: the whole new row.
    pub(super) fn create(world: &World, call: &Call, subject: &Subject<'_>, row: &Row) -> Self {
        let details = json!({"pre_data": null, "cur_data": row.to_value(), "update_fields": null});
        Self::new(world, call, subject, "create", json!({"bk_obj_id": subject.model, "details": details}))
    }

    /// An update: the whole old row and the body as it was sent, not as it was stored.
    pub(super) fn update(
        world: &World,
        call: &Call,
        subject: &Subject<'_>,
        old: &Row,
        sent: &Map<String, Value>,
    ) -> Self {
        let details = json!({"pre_data": old.to_value(), "cur_data": null, "update_fields": sent});
        Self::new(world, call, subject, "update", json!({"bk_obj_id": subject.model, "details": details}))
    }

    /// A delete: the whole old row.
    pub(super) fn delete(world: &World, call: &Call, subject: &Subject<'_>, row: &Row) -> Self {
        let details = json!({"pre_data": row.to_value(), "cur_data": null, "update_fields": null});
        Self::new(world, call, subject, "delete", json!({"bk_obj_id": subject.model, "details": details}))
    }

    /// An update of a model's attribute, filed under the attribute.
    pub(super) fn attribute(world: &World, call: &Call, old: &Row, sent: &Map<String, Value>) -> Self {
        let subject = Subject {
            model: old.text("bk_obj_id"),
            id: old.int("id"),
            name: old.text("bk_property_name"),
            business: None,
        };
        let mut record = Self::update(world, call, &subject, old, sent);
        record.audit_type = "model";
        record.resource_type = "model_attribute";
        record
    }

    /// A transfer of a host.
    pub(super) fn transfer(world: &World, call: &Call, subject: &Subject<'_>, detail: Value) -> Self {
        Self::new(world, call, subject, "transfer_host_module", detail)
    }

    /// A create or delete of an association, which is filed under its source.
    pub(super) fn association(
        world: &World,
        call: &Call,
        action: &'static str,
        row: &Row,
        names: (&str, &str),
    ) -> Self {
        let source = row.text("bk_obj_id");
        let subject = Subject { model: source, id: row.int("bk_inst_id"), name: names.0, business: None };
        let detail = json!({
            "asst_id": row.text("bk_obj_asst_id"), "asst_kind": row.text("bk_asst_id"), "src_obj_id": source,
            "dest_obj_id": row.text("bk_asst_obj_id"), "dest_inst_id": row.int("bk_asst_inst_id"),
            "dest_inst_name": names.1,
        });
        let mut record = Self::new(world, call, &subject, action, detail);
        record.audit_type = "model_instance";
        record.resource_type = "instance_association";
        record.business = None;
        record
    }

    /// The record with or without what only the detail reads show.
    fn row(&self, detailed: bool) -> Row {
        let mut row = Row::of([
            ("id", self.id.into()),
            ("audit_type", if detailed { self.audit_type } else { "" }.into()),
            ("bk_supplier_account", "0".into()),
            ("user", self.user.as_str().into()),
            ("resource_type", self.resource_type.into()),
            ("action", self.action.into()),
            ("operate_from", if detailed { "user" } else { "" }.into()),
            ("operation_detail", if detailed { self.detail.clone() } else { Value::Null }),
            ("operation_time", self.clock.as_str().into()),
            ("resource_id", self.resource_id.into()),
            ("resource_name", self.resource_name.as_str().into()),
            ("extend_resource_name", "".into()),
            ("rid", self.rid.as_str().into()),
        ]);
        if let Some(business) = self.business {
            row.set("bk_biz_id", business);
        }
        if let Some(app) = &self.app {
            row.set("code", app.as_str());
        }
        row
    }
}

fn sorted(records: &[&Record], page: &Page, detailed: bool) -> Vec<Value> {
    let mut rows: Vec<Row> = records.iter().map(|record| record.row(detailed)).collect();
    rows.sort_by(|row, other| page.compare(row, other));
    page.cut(rows.iter()).into_iter().map(Row::to_value).collect()
}

/// `audit_list`.
pub(super) fn list(world: &World, call: &Call) -> Outcome {
    let args = call.args()?;
    let page = Page::of(&args)?;
    let condition = args.object("condition")?;
    let time = condition.object("operation_time")?;
    let edge = |name: &str| match time.text(name)? {
        "" => Ok(None),
        text => moment::parse_in(text, &world.zone).map(Some).ok_or_else(|| Refusal::invalid("operation_time")),
    };
    let (start, end) = (edge("start")?, edge("end")?);
    if start.is_none() && end.is_none() {
        return Err(Refusal::unassigned("operation_time"));
    }
    match page.limit {
        1..=200 => {}
        0 => return Err(Refusal::invalid("limit")),
        _ => return Err(Refusal::page()),
    }
    if condition.get("bk_obj_id").is_some() && condition.get("resource_type").is_none() {
        return Err(Refusal::invalid("resource_type"));
    }
    let actions = condition.texts("action")?;
    let fuzzy = condition.flag("fuzzy_query")?;
    let name = condition.text("resource_name")?;
    let plain = |field: &str, found: &str| condition.get(field).is_none_or(|wanted| wanted.as_str() == Some(found));
    let mut extra = Filter::everything();
    for rule in condition.objects("condition")? {
        let value = rule.get("value").cloned().unwrap_or(Value::Null);
        let part = match (rule.text("operator")?, value) {
            ("in", Value::Array(values)) => Filter::within(rule.text("field")?, values),
            (_, value) => Filter::equal(rule.text("field")?, value),
        };
        extra = extra.and(part);
    }
    let found: Vec<&Record> = world
        .audit
        .iter()
        .filter(|record| start.is_none_or(|start| record.time >= start) && end.is_none_or(|end| record.time <= end))
        .filter(|record| plain("user", &record.user) && plain("resource_type", record.resource_type))
        .filter(|record| plain("bk_obj_id", &record.model))
        .filter(|record| actions.is_empty() || actions.iter().any(|action| action == record.action))
        .filter(|record| {
            let wanted = |field: &str, found: Option<i64>| {
                condition.get(field).is_none_or(|wanted| wanted.as_i64().is_some() && wanted.as_i64() == found)
            };
            wanted("resource_id", Some(record.resource_id)) && wanted("bk_biz_id", record.business)
        })
        .filter(|record| {
            name.is_empty() || if fuzzy { record.resource_name.contains(name) } else { record.resource_name == name }
        })
        .filter(|record| extra.matches(&record.row(false)))
        .collect();
    let count = found.len();
    Ok(Reply::Json(json!({"count": count, "info": sorted(&found, &page, false)})))
}

/// `find_audit_by_id`.
pub(super) fn find(world: &World, call: &Call) -> Outcome {
    let ids = call.args()?.ints("id")?;
    match ids.len() {
        0 => return Err(Refusal::unassigned("id")),
        1..=200 => {}
        _ => return Err(Refusal::page()),
    }
    let found: Vec<Value> = world
        .audit
        .iter()
        .filter(|record| i64::try_from(record.id).is_ok_and(|id| ids.contains(&id)))
        .map(|record| record.row(true).to_value())
        .collect();
    if found.is_empty() {
        // The server writes two documents into one body, which no client can parse.
        let refusal = Refusal::wrapped("id");
        let first = json!({"result": false, "bk_error_code": refusal.code, "bk_error_msg": refusal.text,
            "permission": null, "data": null});
        let second = json!({"result": true, "bk_error_code": 0, "bk_error_msg": "success", "permission": null,
            "data": []});
        return Ok(Reply::Body(format!("{first}\n{second}\n")));
    }
    Ok(Reply::Json(Value::from(found)))
}

/// `inst_audit`: the records of one instance, with details on request.
pub(super) fn of_instance(world: &World, call: &Call) -> Outcome {
    let args = call.args()?;
    let page = Page::of(&args)?;
    if page.limit > 200 {
        return Err(Refusal::page());
    }
    let condition = args.object("condition")?;
    let model = condition.text("bk_obj_id")?;
    if matches!(model, "module" | "set" | "process" | "plat" | "") {
        return Err(Refusal::invalid("bk_obj_id"));
    }
    let resource_type = condition.text("resource_type")?;
    let id = condition.maybe_int("resource_id")?;
    let ids = condition.ints("id")?;
    let found: Vec<&Record> = world
        .audit
        .iter()
        .filter(|record| record.model == model && (resource_type.is_empty() || record.resource_type == resource_type))
        .filter(|record| id.is_none_or(|id| record.resource_id == id))
        .filter(|record| ids.is_empty() || i64::try_from(record.id).is_ok_and(|id| ids.contains(&id)))
        .collect();
    let count = found.len();
    let info = sorted(&found, &page, args.flag("with_detail")?);
    Ok(Reply::Json(json!({"count": count, "info": info})))
}
