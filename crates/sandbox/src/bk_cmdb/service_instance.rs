//! Service instances: those of a state that lists them, else one for each host in a module of a service template.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    args::Args,
    call::Call,
    page::Page,
    refusal::{Outcome, Refusal, Reply},
    row::Row,
    world::{Tables, World},
};

/// Where the processes of a service instance lie.
const PROCESSES: &str = "process_instances";

/// `list_service_instance_detail`: a limit is needed.
pub(super) fn list_details(_: &World, tables: &Tables, call: &Call) -> Outcome {
    let args = call.args()?;
    let (found, page) = (found(tables, &args)?, Page::of(&args)?);
    if !(1..=1000).contains(&page.limit) {
        return Err(Refusal::page());
    }
    Ok(paged(found, &page))
}

fn paged(found: Vec<Value>, page: &Page) -> Reply {
    let count = found.len();
    Reply::Json(json!({"count": count, "info": page.cut(found.into_iter())}))
}

/// Returns the service instances of a module, or of the whole business.
fn found(tables: &Tables, args: &Args) -> Result<Vec<Value>, Refusal> {
    let business = args.int("bk_biz_id")?;
    if business <= 0 {
        return Err(Refusal::invalid("bk_biz_id"));
    }
    let module = args.int("bk_module_id")?;
    let fits = |row: &Row| row.int("bk_biz_id") == business && (module == 0 || row.int("bk_module_id") == module);
    if let Some(rows) = &tables.service_instances {
        return Ok(rows.iter().filter(|row| fits(row)).map(|row| row.to_value()).collect());
    }
    let made =
        tables.host_relations.iter().enumerate().filter(|(_, pair)| fits(pair)).filter_map(|(position, pair)| {
            let (own, host) = (pair.int("bk_module_id"), pair.int("bk_host_id"));
            let template = tables.modules.get(own).map_or(0, |row| row.int("service_template_id"));
            (template != 0).then(|| {
                let id = position + 1;
                json!({"bk_biz_id": business, "id": id, "name": host.to_string(), "labels": null,
                "service_template_id": template, "bk_host_id": host, "bk_module_id": own,
                "bk_supplier_account": "0", PROCESSES: processes(tables, template, id)})
            })
        });
    Ok(made.collect())
}

/// Returns the processes of a service instance that is in sync with its service template.
fn processes(tables: &Tables, template: i64, instance: usize) -> Vec<Value> {
    let rows =
        tables.process_templates.rows().map(|(_, row)| row).filter(|row| row.int("service_template_id") == template);
    rows.map(|row| process(row, instance)).collect()
}

fn process(template: &Arc<Row>, instance: usize) -> Value {
    let property = template.get("property").cloned().unwrap_or_default();
    let rows = property["bind_info"]["value"].as_array().into_iter().flatten().map(|row| {
        json!({"ip": address(&row["ip"]["value"]), "port": row["port"]["value"], "protocol": row["protocol"]["value"],
            "enable": row["enable"]["value"].as_bool().unwrap_or(false), "template_row_id": row["row_id"]})
    });
    let name = template.text("bk_process_name");
    json!({
        "process": {"bk_process_name": name, "service_instance_id": instance, "bind_info": rows.collect::<Vec<_>>()},
        "relation": {"service_instance_id": instance, "process_template_id": template.int("id")},
    })
}

/// The address that an option of `ip` stands for; those of hosts are not known here.
fn address(option: &Value) -> Option<&'static str> {
    match option.as_str()? {
        "1" => Some("127.0.0.1"),
        "2" => Some("0.0.0.0"),
        "5" => Some("::1"),
        "6" => Some("::"),
        _ => None,
    }
}
