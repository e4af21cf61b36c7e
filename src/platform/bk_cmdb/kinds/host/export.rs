//! Hosts of businesses as documents, a page by ascending ids. Their modules are declared where that is asked for: moving a
//! host is more than a field of it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    Host, MODEL,
    key::{ADDRESS, ASSET, CLOUD, ID},
    live, own,
    placed::Modules,
    placement::MODULES,
    read::{self, KEYS},
};
use crate::{
    model::{Json, Live, Request},
    platform::bk_cmdb::{
        attribute::Definition,
        kinds::export_common::{self, Business, Unlisted, unread},
    },
    provider::{Cursor, Draft, ExportPage, ExportScope, ExportedObject, Facts, Observation, tree_of},
    yaml::write::{Entry, Tree},
};

/// How the addresses of a host are given: those that are given by chance tell no hosts apart.
const ADDRESSING: &str = "bk_addressing";

/// Returns a page of the hosts of a business, and behind the last of them goes on with the next business.
pub(super) fn export(
    export: &ExportScope<'_>,
    from: &Cursor,
    observation: &mut Observation,
    facts: &Facts,
) -> Result<ExportPage, Unlisted> {
    let businesses = export_common::businesses(export.scope, observation, facts)?;
    let Some(business) = businesses.get(from.part) else { return Ok(ExportPage::default()) };
    let definition =
        own::whole(MODEL, business.id, observation, facts).map_err(|error| unread(&error, export.scope))?;
    export_common::check_fields(export, &definition)?;
    let fields: BTreeSet<&str> = definition.keys().map(|name| &**name).chain(KEYS.iter().copied()).collect();
    let rule = json!({"field": ID, "operator": "greater", "value": from.after});
    let arguments = json!({"bk_biz_id": business.id, "fields": fields,
        "host_property_filter": {"condition": "AND", "rules": [rule]},
        "page": {"start": 0, "limit": export_common::PAGE, "sort": ID}});
    let request = Request { operation: "list_biz_hosts", arguments, repeatable: true };
    let page = export_common::behind(request.clone(), (ID, "hosts"), from.after, observation, facts)?;
    let rows = page.rows;
    let mut read = vec![request];
    let placed = if export.has_part(MODULES) {
        let ids = rows.iter().filter_map(|row| row[ID].as_i64()).collect();
        let modules = Modules::of(business.id, observation, facts);
        let pairs = read::pairs(Some(business.id), &ids, observation, facts);
        let pairs = pairs.map_err(|error| unread(&error, export.scope))?;
        read.extend(read::pair_requests(business.id, &ids, &pairs));
        Some((modules.map_err(|error| unread(&error, export.scope))?, pairs))
    } else {
        None
    };
    let (mut objects, mut declared) = (Vec::new(), Vec::new());
    let group = [business.name.clone(), "hosts".to_owned()];
    for row in rows {
        let live = live(business.id, row);
        if export.skips(&Host, &live, &group, &mut declared) {
            continue;
        }
        if export_common::fits(export, &live, &definition, facts)? {
            let mut object = object(export, business, &live, &definition, facts);
            if let Some((modules, pairs)) = &placed {
                let pairs = row[ID].as_i64().and_then(|id| pairs.get(&id)).map(Vec::as_slice).unwrap_or_default();
                match modules.list(pairs) {
                    Ok(list) => object.declare(MODULES, list),
                    Err(why) => object.left.push((MODULES.to_owned(), why)),
                }
            }
            objects.push(object);
        }
    }
    Ok(ExportPage { objects, declared, next: page.next(from, businesses.len()), read })
}

fn object(
    export: &ExportScope<'_>,
    business: &Business,
    live: &Live,
    definition: &Definition,
    facts: &Facts,
) -> ExportedObject {
    let id = live.handle["host"].as_i64().unwrap_or_default();
    let address = live.field(ADDRESS).as_str().unwrap_or_default().split(',').next().unwrap_or_default().trim();
    let head = |keys: Vec<(&str, Value)>| {
        let keys = keys.into_iter().map(|(key, value)| (key.to_owned(), tree_of(&value))).collect();
        vec![Entry::new("business", business.tree.clone()), Entry::new("match", Tree::Flow(keys))]
    };
    let is_fixed = !address.is_empty() && live.field(ADDRESSING) != "dynamic" && live.field(CLOUD).is_i64();
    let by_address = is_fixed.then(|| head(vec![(ADDRESS, json!(address)), (CLOUD, live.field(CLOUD).to_value())]));
    let heads = by_address.into_iter().chain([head(vec![(ID, json!(id))])]).collect();
    let fields = export_common::fields(export, live, definition, &[], facts);
    let (spec, left) = Draft { heads, key: "fields", fields, live }.spec(&Host, facts);
    let name = live.field("bk_host_name").as_str().filter(|name| !name.is_empty());
    let asset = live.field(ASSET).as_str().filter(|asset| !asset.is_empty());
    let title = name.or(Some(address).filter(|address| !address.is_empty())).or(asset);
    ExportedObject {
        title: title.map_or_else(|| format!("host-{id}"), str::to_owned),
        handles: vec![Json::from(id).to_string()],
        instance: None,
        group: vec![business.name.clone(), "hosts".to_owned()],
        note: live.label.to_string(),
        spec,
        left,
    }
}
