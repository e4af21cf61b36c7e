//! Moves of hosts between the modules that every business has, and the resource pool.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{
    args::Args,
    call::Call,
    refusal::{Outcome, Refusal, Reply},
    row::Row,
    world::World,
};

/// A module with its set and business.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Home {
    business: i64,
    set: i64,
    module: i64,
}

/// The resource pool, which a state need not have.
const POOL: Home = Home { business: 1, set: 1, module: 1 };

/// The built-in module of a business with this `default`.
fn built_in(world: &World, business: i64, default: i64) -> Result<Home, Refusal> {
    let mut rows = world.tables.modules.rows().map(|(_, row)| row);
    let module = rows.find(|row| row.int("bk_biz_id") == business && row.int("default") == default);
    let module = module.filter(|_| business != 0);
    let module =
        module.ok_or_else(|| Refusal::new(1_110_030, "Failed to add host to module, error:module not found"))?;
    Ok(Home { business, set: module.int("bk_set_id"), module: module.int("bk_module_id") })
}

fn hosts(args: &Args) -> Result<Vec<i64>, Refusal> {
    let ids = args.ints("bk_host_id")?;
    if ids.is_empty() { Err(Refusal::new(1_199_031, "'audit server' initialization failed")) } else { Ok(ids) }
}

fn is_in(world: &World, host: i64, wanted: impl Fn(&Row) -> bool) -> bool {
    world.tables.host_relations.iter().any(|pair| pair.int("bk_host_id") == host && wanted(pair))
}

/// Refuses hosts that are not there or not in the business.
fn check_owner(world: &World, business: i64, hosts: &[i64]) -> Result<(), Refusal> {
    if hosts.iter().any(|host| !is_in(world, *host, |_| true)) {
        return Err(Refusal::wrapped_name("bk_host_id"));
    }
    if hosts.iter().any(|host| !is_in(world, *host, |pair| pair.int("bk_biz_id") == business)) {
        let text = format!("hostID [{hosts:?}] does not belong of  businessID [[{business}]]");
        return Err(Refusal::new(1_113_002, text));
    }
    Ok(())
}

/// Moves hosts to one module, out of all others. Their service instances go.
fn move_to(world: &mut World, hosts: &[i64], home: Home) {
    let moved = |row: &Arc<Row>| hosts.contains(&row.int("bk_host_id"));
    let mut relations: Vec<Arc<Row>> = world.tables.host_relations.iter().filter(|row| !moved(row)).cloned().collect();
    relations.extend(hosts.iter().map(|host| {
        Arc::new(Row::of([
            ("bk_host_id", (*host).into()),
            ("bk_module_id", home.module.into()),
            ("bk_set_id", home.set.into()),
            ("bk_biz_id", home.business.into()),
        ]))
    }));
    let services = world.tables.service_instances.as_ref();
    let services = services.map(|rows| rows.iter().filter(|row| !moved(row)).cloned().collect());
    world.rehouse(relations, services);
}

fn to_built_in(world: &mut World, call: &Call, default: i64) -> Outcome {
    let args = call.args()?;
    let business = args.int("bk_biz_id")?;
    let hosts = hosts(&args)?;
    let home = built_in(world, business, default)?;
    check_owner(world, business, &hosts)?;
    move_to(world, &hosts, home);
    Ok(Reply::Nothing)
}

/// `transfer_host_to_idlemodule`.
pub(super) fn to_idle(world: &mut World, call: &Call) -> Outcome {
    to_built_in(world, call, 1)
}

/// `transfer_host_to_faultmodule`.
pub(super) fn to_fault(world: &mut World, call: &Call) -> Outcome {
    to_built_in(world, call, 2)
}

/// `transfer_host_to_recyclemodule`.
pub(super) fn to_recycle(world: &mut World, call: &Call) -> Outcome {
    to_built_in(world, call, 3)
}

fn elsewhere(hosts: &[i64]) -> Refusal {
    let text = format!("Operation failed, the following host does not belong to the target module: {hosts:?}");
    Refusal::new(1_110_056, text)
}

/// `transfer_host_to_resourcemodule`: hosts of built-in modules go to the pool.
pub(super) fn to_pool(world: &mut World, call: &Call) -> Outcome {
    let args = call.args()?;
    let (business, hosts) = (args.int("bk_biz_id")?, hosts(&args)?);
    check_owner(world, business, &hosts)?;
    let built_in = |pair: &Row| {
        let module = world.tables.modules.get(pair.int("bk_module_id"));
        module.is_some_and(|module| module.int("default") != 0)
    };
    if hosts.iter().any(|host| !is_in(world, *host, built_in)) {
        return Err(elsewhere(&hosts));
    }
    move_to(world, &hosts, POOL);
    Ok(Reply::Nothing)
}

/// `transfer_resourcehost_to_idlemodule`: hosts of the pool go to a business.
pub(super) fn from_pool(world: &mut World, call: &Call) -> Outcome {
    let args = call.args()?;
    let (business, hosts) = (args.int("bk_biz_id")?, hosts(&args)?);
    let home = built_in(world, business, 1)?;
    if hosts.iter().any(|host| !is_in(world, *host, |pair| pair.int("bk_biz_id") == POOL.business)) {
        return Err(elsewhere(&hosts));
    }
    move_to(world, &hosts, home);
    Ok(Reply::Nothing)
}

/// `transfer_sethost_to_idle_module`: all hosts of a set, or of one of its modules.
pub(super) fn of_set_to_idle(world: &mut World, call: &Call) -> Outcome {
    let args = call.args()?;
    let (business, set, module) = (args.int("bk_biz_id")?, args.int("bk_set_id")?, args.int("bk_module_id")?);
    let home = built_in(world, business, 1)?;
    let inside = |pair: &Row| {
        pair.int("bk_biz_id") == business
            && pair.int("bk_set_id") == set
            && (module == 0 || pair.int("bk_module_id") == module)
    };
    let pairs = world.tables.host_relations.iter().filter(|pair| inside(pair));
    let hosts: std::collections::BTreeSet<i64> = pairs.map(|pair| pair.int("bk_host_id")).collect();
    move_to(world, &hosts.into_iter().collect::<Vec<_>>(), home);
    Ok(Reply::Nothing)
}

/// A host relation as an answer shows it.
pub(super) fn shown(pair: &Row) -> Value {
    let mut cells: Map<String, Value> = pair.cells().map(|(name, value)| (name.to_owned(), value.clone())).collect();
    cells.entry("bk_supplier_account").or_insert_with(|| "0".into());
    Value::Object(cells)
}
