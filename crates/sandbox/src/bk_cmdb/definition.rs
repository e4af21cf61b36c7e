//! Reads of definitions: models, attributes, unique rules, model associations (sections 4.3 and 4.5).

use serde_json::Value;

use super::{
    args::Args,
    built_in,
    call::Call,
    filter::Filter,
    page::{Page, matching, select},
    raw,
    refusal::{Outcome, Refusal, Reply},
    row::{Projection, list_text},
    world::{Tables, World},
};

/// The body itself as a raw condition.
fn condition(call: &Call) -> Result<Args, Refusal> {
    let mut args = call.args()?;
    for name in ["page", "metadata", "bk_supplier_account"] {
        args.0.remove(name);
    }
    Ok(args)
}

/// `search_objects`.
pub(super) fn objects(_: &World, tables: &Tables, call: &Call) -> Outcome {
    let filter = raw::parse(&condition(call)?)?;
    Ok(Reply::Text(list_text(matching(&tables.objects, &filter).into_iter(), &Projection::default())))
}

/// `search_object_attribute`: without system and hidden attributes, and private ones only of the business named.
pub(super) fn attributes(_: &World, tables: &Tables, call: &Call) -> Outcome {
    let page = Page::of(&call.args()?)?;
    let mut args = condition(call)?;
    let business = args.0.remove("bk_biz_id").and_then(|value| value.as_i64()).unwrap_or(0);
    let mut filter = raw::parse(&args)?;
    filter = filter.and(Filter::within("bk_biz_id", vec![Value::from(0), Value::from(business)]));
    for hidden in ["bk_issystem", "bk_isapi"] {
        filter = filter.and(Filter::Not(Box::new(Filter::equal(hidden, true))));
    }
    let found = select(&tables.attributes, &filter, &page);
    let rows: Vec<_> = found.rows.into_iter().map(|row| built_in::translated(row, call.language)).collect();
    Ok(Reply::Text(list_text(rows.iter(), &Projection::default())))
}

/// Search of a model's unique rules.
pub(super) fn uniques(_: &World, tables: &Tables, call: &Call) -> Outcome {
    call.args()?;
    let filter = Filter::equal("bk_obj_id", call.var("bk_obj_id"));
    Ok(Reply::Text(list_text(matching(&tables.uniques, &filter).into_iter(), &Projection::default())))
}

/// `find_object_association`.
pub(super) fn object_associations(_: &World, tables: &Tables, call: &Call) -> Outcome {
    let condition = call.args()?.object("condition")?;
    if condition.0.is_empty() {
        return Err(Refusal::wrapped_name("%s"));
    }
    let filter = raw::parse(&condition)?;
    Ok(Reply::Text(list_text(matching(&tables.object_associations, &filter).into_iter(), &Projection::default())))
}
