//! Rows of inner-table attributes. The contract names only the paths; arguments and limits are those of the vendor's
//! pages, the codes are what its other operations use.

use serde_json::{Value, json};

use super::{
    args::Args,
    call::Call,
    filter::Filter,
    instance_write::touch,
    page::{Page, matching, select},
    refusal::{Outcome, Refusal, Reply},
    row::{Projection, list_text},
    rule::{self, Engine},
    world::{Place, Quoted, Tables, World},
};

/// Finds the rows that a request names by model and attribute.
fn named<'a>(tables: &'a Tables, args: &Args) -> Result<((String, String), &'a Quoted), Refusal> {
    let (model, property) = (args.text("bk_obj_id")?, args.text("bk_property_id")?);
    for (name, value) in [("bk_obj_id", model), ("bk_property_id", property)] {
        if value.is_empty() {
            return Err(Refusal::unassigned(name));
        }
    }
    let place = (model.to_owned(), property.to_owned());
    let quoted = tables.quoted.get(&place).ok_or_else(Refusal::not_found)?;
    Ok((place, quoted))
}

/// `list_quoted_inst`: a page of rows, or with `enable_count` their number alone.
pub(super) fn list(_: &World, tables: &Tables, call: &Call) -> Outcome {
    let args = call.args()?;
    let (_, quoted) = named(tables, &args)?;
    let filter = match args.get("filter") {
        Some(tree) => rule::parse(tree, Engine::Filter, "filter")?,
        None => Filter::everything(),
    };
    if args.object("page")?.flag("enable_count")? {
        let count = matching(&quoted.table, &filter).len();
        return Ok(Reply::Json(json!({"count": count, "info": []})));
    }
    let page = Page::of(&args)?.bounded()?;
    let found = select(&quoted.table, &filter, &page);
    let rows = list_text(found.rows.into_iter(), &Projection::on(args.texts("fields")?));
    Ok(Reply::Text(format!("{{\"count\":0,\"info\":{rows}}}")))
}

/// `batch_update_quoted_inst`: the same data for every id, all or nothing.
pub(super) fn update(world: &mut World, call: &Call) -> Outcome {
    let args = call.args()?;
    let (place, quoted) = named(&world.tables, &args)?;
    let ids = args.ints("ids")?;
    if !(1..=500).contains(&ids.len()) {
        return Err(Refusal::length("ids", 500));
    }
    let data = args.object("data")?;
    if data.0.is_empty() {
        return Err(Refusal::unassigned("data"));
    }
    let mut cells: Vec<(std::sync::Arc<str>, Value)> = Vec::new();
    for (name, value) in &data.0 {
        let Some(attribute) = quoted.schema.get(name, 0).filter(|attribute| attribute.editable) else { continue };
        cells.push((attribute.id.clone(), attribute.accept(value, &world.context())?));
    }
    let mut rows = Vec::with_capacity(ids.len());
    for id in ids {
        let old = quoted.table.get(id).ok_or_else(Refusal::not_found)?;
        let mut row = (**old).clone();
        cells.iter().for_each(|(name, value)| row.set(name.clone(), value.clone()));
        touch(world, call, &mut row);
        rows.push((id, row));
    }
    for (id, row) in rows {
        world.put(Place::Quoted(place.0.clone(), place.1.clone()), id, Some(row));
    }
    Ok(Reply::Nothing)
}
