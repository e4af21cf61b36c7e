//! Reads of model instances (section 4.1).

use std::{collections::BTreeSet, sync::Arc};

use serde_json::Value;

use super::{
    args::Args,
    call::Call,
    filter::Filter,
    page::{Page, Selection, matching, page_of, select},
    raw,
    refusal::{Outcome, Refusal, Reply},
    row::{Projection, Row, list_text},
    rule::{self, Engine},
    table::Table,
    world::{INNER, Tables, Version, World},
};

/// Refuses built-in models.
pub(super) fn common_model(call: &Call) -> Result<&str, Refusal> {
    let model = call.var("bk_obj_id");
    if INNER.contains(&model) { Err(Refusal::inner_model()) } else { Ok(model) }
}

/// Which engine reads the conditions of the instance searches.
pub(super) fn engine(world: &World) -> Engine {
    if world.version >= Version::V3_14 { Engine::Filter } else { Engine::Builder }
}

/// Reads `conditions` and `time_condition`.
pub(super) fn conditions(args: &Args, engine: Engine) -> Result<Filter, Refusal> {
    let time = raw::time_condition(args)?;
    match args.get("conditions") {
        None => Ok(time),
        Some(tree) => Ok(time.and(rule::parse(tree, engine, "conditions")?)),
    }
}

/// `{"count":n,"info":[…]}`; nothing found is `[]`.
pub(super) fn counted(found: &Selection<'_>, projection: &Projection) -> Reply {
    let rows = list_text(found.rows.iter().copied(), projection);
    Reply::Text(format!("{{\"count\":{},\"info\":{rows}}}", found.count))
}

/// `{"info":[…]}`; nothing found is `null` or `[]`, as the operation has it.
pub(super) fn uncounted(rows: &[&Arc<Row>], projection: &Projection, empty: &str) -> Reply {
    if rows.is_empty() {
        return Reply::Text(format!("{{\"info\":{empty}}}"));
    }
    Reply::Text(format!("{{\"info\":{}}}", list_text(rows.iter().copied(), projection)))
}

/// Selects from a table that may not exist.
fn select_from<'a>(table: Option<&'a Table>, filter: &Filter, page: &Page) -> Selection<'a> {
    table.map_or(Selection { rows: Vec::new(), count: 0 }, |table| select(table, filter, page))
}

/// `search_object_instances`.
pub(super) fn search(world: &World, tables: &Tables, call: &Call) -> Outcome {
    let model = common_model(call)?;
    let args = call.args()?;
    let page = Page::of(&args)?.bounded()?;
    let filter = conditions(&args, engine(world))?;
    let found = tables.instances.get(model).map(|table| page_of(table, &filter, &page)).unwrap_or_default();
    Ok(uncounted(&found, &Projection::on(args.texts("fields")?), "null"))
}

/// `count_object_instances`.
pub(super) fn count(world: &World, tables: &Tables, call: &Call) -> Outcome {
    let model = common_model(call)?;
    let filter = conditions(&call.args()?, engine(world))?;
    let count = match (tables.instances.get(model), &filter) {
        (Some(table), Filter::All(parts)) if parts.is_empty() => table.len(),
        (table, _) => table.map_or(0, |table| matching(table, &filter).len()),
    };
    Ok(Reply::Text(format!("{{\"count\":{count}}}")))
}

/// `search_inst_by_object`.
pub(super) fn search_by_object(_: &World, tables: &Tables, call: &Call) -> Outcome {
    let model = common_model(call)?;
    let args = call.args()?;
    let filter = raw::parse(&args.object("condition")?)?;
    let found = select_from(tables.instances.get(model), &filter, &Page::of(&args)?);
    Ok(counted(&found, &Projection::on(args.texts("fields")?)))
}

/// `search_inst`, whose conditions are lists by model.
pub(super) fn search_associated(_: &World, tables: &Tables, call: &Call) -> Outcome {
    let model = common_model(call)?;
    let args = call.args()?;
    let page = Page::of(&args)?;
    let fields = args.object("fields")?.texts(model)?;
    let condition = args.object("condition")?;
    let mut filter = raw::time_condition(&args)?;
    let own = condition.get(model).is_some();
    for other in condition.0.keys() {
        let rules = rules(&condition, other)?;
        if other == model {
            filter = filter.and(rules);
            continue;
        }
        let ids = sources(tables, model, other, &rules);
        if !ids.is_empty() {
            filter = filter.and(Filter::within("bk_inst_id", ids.into_iter().map(Value::from).collect()));
        } else if !own {
            // A condition on another model that nothing fits counts only beside no condition on the own one.
            return Ok(Reply::Text("{\"count\":0,\"info\":null}".to_owned()));
        }
    }
    Ok(counted(&select_from(tables.instances.get(model), &filter, &page), &Projection::on(fields)))
}

/// The sources among `model` of associations whose target is an instance of `other` that fits.
fn sources(tables: &Tables, model: &str, other: &str, rules: &Filter) -> BTreeSet<i64> {
    let Some(table) = tables.of_model(other) else { return BTreeSet::new() };
    let targets: Vec<Value> = matching(table, rules).iter().map(|row| Value::from(row.int(table.key))).collect();
    let ends = Filter::equal("bk_obj_id", model)
        .and(Filter::equal("bk_asst_obj_id", other))
        .and(Filter::within("bk_asst_inst_id", targets));
    matching(&tables.associations, &ends).iter().map(|row| row.int("bk_inst_id")).collect()
}

/// Reads the condition list of one model: `[{"field","operator":"$eq","value"}]`.
fn rules(condition: &Args, model: &str) -> Result<Filter, Refusal> {
    let mut filter = Filter::everything();
    for rule in condition.objects(model)? {
        let (field, operator) = (rule.text("field")?, rule.text("operator")?);
        let value = rule.0.get("value").cloned().unwrap_or(Value::Null);
        let value = match (operator, value) {
            ("$eq" | "$ne" | "$in" | "$nin" | "$gt" | "$gte" | "$lt" | "$lte" | "$exists", value) => value,
            // The value of a pattern is taken literally.
            ("$regex" | "$like", Value::String(text)) => Value::from(regex::escape(&text)),
            _ => return Err(Refusal::unknown()),
        };
        let one = serde_json::Map::from_iter([(operator.to_owned(), value)]);
        let whole = serde_json::Map::from_iter([(field.to_owned(), Value::Object(one))]);
        filter = filter.and(raw::parse(&Args(whole))?);
    }
    Ok(filter)
}
