//! Reads of model instances (section 4.1).

use std::{collections::BTreeSet, sync::Arc};

use serde_json::Value;

use super::{
    args::Args,
    call::Call,
    filter::Filter,
    moment,
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

/// Reads `conditions` and `time_condition` on rows of a model.
pub(super) fn conditions(world: &World, args: &Args, engine: Engine, model: &str) -> Result<Filter, Refusal> {
    let time = raw::time_condition(args, &world.zone)?;
    match args.get("conditions") {
        None => Ok(time),
        Some(tree) => Ok(time.and(typed(&world.tables, model, rule::parse(tree, engine, "conditions")?))),
    }
}

/// A condition as the store evaluates it on rows of a model.
pub(super) fn typed(tables: &Tables, model: &str, filter: Filter) -> Filter {
    let schema = tables.schema(model);
    filter.typed(&|field| schema.is_moment(field))
}

/// Refuses rows with a moment that the server cannot write; the refusal has neither code nor text.
pub(super) fn readable(
    tables: &Tables,
    model: &str,
    rows: &[&Arc<Row>],
    projection: &Projection,
) -> Result<(), Refusal> {
    let shown: Vec<_> = tables.schema(model).moments().filter(|moment| projection.names(&moment.id)).collect();
    let broken = |row: &&Arc<Row>| shown.iter().any(|moment| moment::is_unreadable(row.text(&moment.id)));
    if rows.iter().any(broken) { Err(Refusal::unwritable()) } else { Ok(()) }
}

/// Returns true if a row has a moment that the server cannot write.
pub(super) fn is_unreadable(tables: &Tables, model: &str, row: &Row) -> bool {
    tables.schema(model).moments().any(|moment| moment::is_unreadable(row.text(&moment.id)))
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
    let filter = conditions(world, &args, engine(world), model)?;
    let found = tables.instances.get(model).map(|table| page_of(table, &filter, &page)).unwrap_or_default();
    let projection = Projection::on(args.texts("fields")?);
    readable(tables, model, &found, &projection)?;
    Ok(uncounted(&found, &projection, "null"))
}

/// `count_object_instances`.
pub(super) fn count(world: &World, tables: &Tables, call: &Call) -> Outcome {
    let model = common_model(call)?;
    let filter = conditions(world, &call.args()?, engine(world), model)?;
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
    let filter = typed(tables, model, raw::parse(&args.object("condition")?)?);
    let found = select_from(tables.instances.get(model), &filter, &Page::of(&args)?);
    let projection = Projection::on(args.texts("fields")?);
    readable(tables, model, &found.rows, &projection)?;
    Ok(counted(&found, &projection))
}

/// `search_inst`, whose conditions are lists by model.
pub(super) fn search_associated(world: &World, tables: &Tables, call: &Call) -> Outcome {
    let model = common_model(call)?;
    let args = call.args()?;
    let page = Page::of(&args)?;
    let fields = args.object("fields")?.texts(model)?;
    let condition = args.object("condition")?;
    let mut filter = raw::time_condition(&args, &world.zone)?;
    let own = condition.get(model).is_some();
    for other in condition.0.keys() {
        let rules = typed(tables, other, rules(&condition, other)?);
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
    let found = select_from(tables.instances.get(model), &filter, &page);
    let projection = Projection::on(fields);
    readable(tables, model, &found.rows, &projection)?;
    Ok(counted(&found, &projection))
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
pub(super) fn rules(condition: &Args, model: &str) -> Result<Filter, Refusal> {
    let mut filter = Filter::everything();
    for rule in condition.objects(model)? {
        let (field, operator) = (rule.text("field")?, rule.text("operator")?);
        let value = rule.0.get("value").cloned().unwrap_or(Value::Null);
        let value = match (operator, value) {
            ("$eq" | "$ne" | "$in" | "$nin" | "$gt" | "$gte" | "$lt" | "$lte" | "$exists", value) => value,
            // The value of a pattern is taken literally.
            ("$regex" | "$like", Value::String(text)) => Value::from(regex::escape(&text)),
            // A key that is no operator is that of an object that no row holds.
            (operator, _) if !operator.starts_with('$') => {
                filter = filter.and(Filter::Any(Vec::new()));
                continue;
            }
            _ => return Err(Refusal::unknown()),
        };
        let map = serde_json::Map::from_iter([(operator.to_owned(), value)]);
        let whole = serde_json::Map::from_iter([(field.to_owned(), Value::Object(map))]);
        filter = filter.and(raw::parse(&Args(whole))?);
    }
    Ok(filter)
}
