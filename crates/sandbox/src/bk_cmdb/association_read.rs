//! Reads of instance associations (section 4.3).

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    call::Call,
    filter::Filter,
    instance::{conditions, uncounted},
    page::{Page, matching, page_of, select},
    raw,
    refusal::{Outcome, Refusal, Reply},
    row::{Projection, list_text},
    rule::{self, Engine},
    world::{Tables, Version, World, id_field},
};

/// The rows of which a model is either end.
fn either_end(model: &str) -> Filter {
    Filter::Any(vec![Filter::equal("bk_obj_id", model), Filter::equal("bk_asst_obj_id", model)])
}

/// `search_instance_associations`.
pub(super) fn search(world: &World, tables: &Tables, call: &Call) -> Outcome {
    let args = call.args()?;
    let page = Page::of(&args)?.bounded()?;
    let filter = conditions(world, &args, Engine::Builder, "")?.and(either_end(call.var("bk_obj_id")));
    Ok(uncounted(&page_of(&tables.associations, &filter, &page), &Projection::on(args.texts("fields")?), "[]"))
}

/// `count_instance_associations`, which counts only rows whose source is the model.
pub(super) fn count(world: &World, tables: &Tables, call: &Call) -> Outcome {
    let filter =
        conditions(world, &call.args()?, Engine::Builder, "")?.and(Filter::equal("bk_obj_id", call.var("bk_obj_id")));
    Ok(Reply::Text(format!("{{\"count\":{}}}", matching(&tables.associations, &filter).len())))
}

/// `find_instance_association`: everything in one list, whatever `page` and `fields` say.
pub(super) fn find(world: &World, tables: &Tables, call: &Call) -> Outcome {
    let args = call.args()?;
    let model = args.text("bk_obj_id")?;
    let mut filter = raw::parse(&args.object("condition")?)?;
    // Up to 3.9 there is one table for all models (section 6).
    if world.version >= Version::V3_10 {
        if model.is_empty() {
            return Err(Refusal::unassigned("bk_obj_id"));
        }
        filter = filter.and(either_end(model));
    }
    Ok(Reply::Text(list_text(matching(&tables.associations, &filter).into_iter(), &Projection::default())))
}

/// `search_related_inst_asso`: all rows of one instance.
pub(super) fn related(_: &World, tables: &Tables, call: &Call) -> Outcome {
    let args = call.args()?;
    let condition = args.object("condition")?;
    let fields = args.texts("fields")?;
    if fields.is_empty() {
        return Err(Refusal::unassigned("fields"));
    }
    let page = Page::of(&args)?;
    if page.limit > 500 || page.limit < 1 {
        return Err(Refusal::page());
    }
    let id = match condition.get("bk_inst_id") {
        Some(Value::Object(_)) => return Err(Refusal::invalid("bk_inst_id")),
        _ => condition.int("bk_inst_id")?,
    };
    let model = condition.text("bk_obj_id")?;
    let filter = Filter::Any(vec![
        Filter::equal("bk_inst_id", id).and(Filter::equal("bk_obj_id", model)),
        Filter::equal("bk_asst_inst_id", id).and(Filter::equal("bk_asst_obj_id", model)),
    ]);
    let found = select(&tables.associations, &filter, &page);
    Ok(Reply::Text(list_text(found.rows.into_iter(), &Projection::on(fields))))
}

/// `find_instassociation_with_inst`: rows with the instances at their ends.
pub(super) fn with_instances(_: &World, tables: &Tables, call: &Call) -> Outcome {
    let args = call.args()?;
    let page = Page::of(&args)?;
    if !(1..=200).contains(&page.limit) {
        return Err(Refusal::page());
    }
    let condition = args.object("condition")?;
    let mut filter = either_end(call.var("bk_obj_id"));
    if let Some(tree) = condition.get("asst_filter") {
        filter = rule::parse(tree, Engine::Builder, "asst_filter")?.and(filter);
    }
    let fields = condition.texts("asst_fields")?;
    let (source, target) = (condition.flag("src_detail")?, condition.flag("dst_detail")?);
    // The server reads the models out of the rows it has just cut down to the fields.
    let needed = |field: &str| fields.is_empty() || fields.iter().any(|text| text == field);
    if (source || target) && !(needed("bk_obj_id") && needed("bk_asst_obj_id")) {
        return Err(Refusal::no_answer());
    }
    let found = select(&tables.associations, &filter, &page);
    let ends = |wanted: bool, model: &str, id: &str, fields: &str| -> Result<String, Refusal> {
        if !wanted {
            return Ok("null".to_owned());
        }
        let ends: BTreeSet<(&str, i64)> = found.rows.iter().map(|row| (row.text(model), row.int(id))).collect();
        Ok(details(tables, &ends, condition.texts(fields)?))
    };
    let source = ends(source, "bk_obj_id", "bk_inst_id", "src_fields")?;
    let target = ends(target, "bk_asst_obj_id", "bk_asst_inst_id", "dst_fields")?;
    let rows = list_text(found.rows.iter().copied(), &Projection::on(fields));
    Ok(Reply::Text(format!("{{\"association\":{rows},\"src\":{source},\"dst\":{target}}}")))
}

fn details(tables: &Tables, ends: &BTreeSet<(&str, i64)>, fields: Vec<String>) -> String {
    let rows = ends.iter().filter_map(|(model, id)| {
        tables.of_model(model).filter(|table| table.key == id_field(model)).and_then(|table| table.get(*id))
    });
    list_text(rows, &Projection::on(fields))
}
