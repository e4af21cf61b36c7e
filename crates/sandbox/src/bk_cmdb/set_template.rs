//! Set templates. None of their writes leaves an audit record.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::Value;

use super::{
    call::Call,
    filter::Filter,
    instance::counted,
    page::{Page, matching, select},
    refusal::{Outcome, Refusal, Reply},
    row::{Projection, Row},
    service_write::{check_name, required_ids},
    world::{Place, Tables, World},
};

fn id(call: &Call) -> Result<i64, Refusal> {
    call.id("set_template_id", "set_template_id")
}

/// The relations of a set template with service templates, with their numbers.
fn members(tables: &Tables, template: i64) -> Vec<(i64, i64)> {
    let ids = tables.set_template_members.ids("set_template_id", &[template.into()]).unwrap_or_default();
    let row = |id: i64| Some((id, tables.set_template_members.get(id)?.int("service_template_id")));
    ids.into_iter().filter_map(row).collect()
}

/// Returns the service templates of a set template that are there.
pub(super) fn service_templates(tables: &Tables, template: i64) -> Vec<Arc<Row>> {
    let members = members(tables, template).into_iter();
    members.filter_map(|(_, service)| tables.service_templates.get(service)).cloned().collect()
}

/// Gives a set template other service templates.
fn replace_members(world: &mut World, business: i64, template: i64, services: &[i64]) -> Result<(), Refusal> {
    let own = |id: &&i64| world.tables.service_templates.get(**id).is_some_and(|row| row.int("bk_biz_id") == business);
    if !services.iter().all(|id| own(&id)) {
        return Err(Refusal::invalid("service_template_ids"));
    }
    for (number, _) in members(&world.tables, template) {
        world.put(Place::SetTemplateMembers, number, None);
    }
    for service in services.iter().collect::<BTreeSet<_>>() {
        let row = Row::of([
            ("bk_biz_id", business.into()),
            ("set_template_id", template.into()),
            ("service_template_id", (*service).into()),
        ]);
        world.append(Place::SetTemplateMembers, row);
    }
    Ok(())
}

/// `create_set_template`. The name is stored with the blanks around it.
pub(super) fn create(world: &mut World, call: &Call) -> Outcome {
    let business = call.id("bk_biz_id", "bk_biz_id")?;
    let args = call.args()?;
    let name = args.text("name")?;
    let services = required_ids(&args, "service_template_ids")?;
    check_name(name)?;
    let now = world.now_text();
    let mut row = Row::of([
        ("id", 0.into()),
        ("name", name.into()),
        ("bk_biz_id", business.into()),
        ("creator", call.user.as_str().into()),
        ("modifier", call.user.as_str().into()),
        ("create_time", now.as_str().into()),
        ("last_time", now.as_str().into()),
        ("bk_supplier_account", "0".into()),
    ]);
    let id = world.next_id("set_template");
    row.set("id", id);
    replace_members(world, business, id, &services)?;
    if world.tables.set_templates.conflict(id, &row).is_some() {
        return Err(Refusal::duplicated("name"));
    }
    world.put(Place::SetTemplates, id, Some(row.clone()));
    Ok(Reply::Json(row.to_value()))
}

/// `update_set_template`. The business is not compared with the template's.
pub(super) fn update(world: &mut World, call: &Call) -> Outcome {
    let id = id(call)?;
    let args = call.args()?;
    let (name, services) = (args.text("name")?, args.ints("service_template_ids")?);
    let replaces = args.get("service_template_ids").is_some();
    if name.is_empty() && !replaces {
        return Err(Refusal::new(1_199_005, "The input is empty"));
    }
    let old = world.tables.set_templates.get(id).cloned().ok_or_else(Refusal::not_found)?;
    let mut row = (*old).clone();
    if !name.is_empty() {
        check_name(name)?;
        row.set("name", name);
    }
    if world.tables.set_templates.conflict(id, &row).is_some() {
        return Err(Refusal::duplicated("name"));
    }
    if replaces {
        replace_members(world, old.int("bk_biz_id"), id, &services)?;
    }
    row.set("modifier", call.user.as_str());
    row.set("last_time", world.now_text());
    world.put(Place::SetTemplates, id, Some(row.clone()));
    Ok(Reply::Json(row.to_value()))
}

/// `delete_set_template`: one that a set was made from refuses all.
pub(super) fn delete_many(world: &mut World, call: &Call) -> Outcome {
    let ids = call.args()?.ints("set_template_ids")?;
    let made = Filter::within("set_template_id", ids.iter().copied().map(Value::from).collect());
    if !matching(&world.tables.sets, &made).is_empty() {
        return Err(Refusal::new(1_199_056, "remove referenced record forbidden"));
    }
    for id in ids {
        for (number, _) in members(&world.tables, id) {
            world.put(Place::SetTemplateMembers, number, None);
        }
        world.put(Place::SetTemplates, id, None);
    }
    Ok(Reply::Nothing)
}

/// `list_set_template`. A search for a name is ignored.
pub(super) fn list(_: &World, tables: &Tables, call: &Call) -> Outcome {
    let business = call.id("bk_biz_id", "bk_biz_id")?;
    let args = call.args()?;
    let page = Page::of(&args)?;
    if page.limit > 1000 {
        return Err(Refusal::page());
    }
    let mut filter = Filter::equal("bk_biz_id", business);
    let ids = args.ints("set_template_ids")?;
    if !ids.is_empty() {
        filter = filter.and(Filter::within("id", ids.into_iter().map(Value::from).collect()));
    }
    Ok(counted(&select(&tables.set_templates, &filter, &page), &Projection::default()))
}

/// `list_set_template_related_service_template`.
pub(super) fn related(_: &World, tables: &Tables, call: &Call) -> Outcome {
    let rows = service_templates(tables, id(call)?);
    Ok(Reply::Json(rows.iter().map(|row| row.to_value()).collect()))
}
