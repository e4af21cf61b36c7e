//! Moves of hosts between the modules that every business has, and the resource pool.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{
    args::Args,
    call::Call,
    filter::Filter,
    page::matching,
    refusal::{Outcome, Refusal, Reply},
    row::Row,
    service_instance,
    world::{Place, World},
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

/// Returns the pairs of a host.
fn pairs(world: &World, host: i64) -> Vec<(i64, Arc<Row>)> {
    let ids = world.tables.host_relations.ids("bk_host_id", &[host.into()]).unwrap_or_default();
    ids.into_iter().filter_map(|id| Some((id, world.tables.host_relations.get(id)?.clone()))).collect()
}

fn is_in(world: &World, host: i64, wanted: impl Fn(&Row) -> bool) -> bool {
    pairs(world, host).iter().any(|(_, pair)| wanted(pair))
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

fn pair(host: i64, home: Home) -> Row {
    Row::of([
        ("bk_host_id", host.into()),
        ("bk_module_id", home.module.into()),
        ("bk_set_id", home.set.into()),
        ("bk_biz_id", home.business.into()),
    ])
}

/// Moves hosts to one module, out of all others. Their service instances go.
fn move_to(world: &mut World, call: &Call, hosts: &[i64], home: Home) {
    for host in hosts {
        for (id, _) in pairs(world, *host) {
            world.put(Place::HostRelations, id, None);
        }
        let of_host = Filter::equal("bk_host_id", *host);
        let instances: Vec<Arc<Row>> =
            matching(&world.tables.service_instances, &of_host).into_iter().cloned().collect();
        for row in instances {
            service_instance::remove(world, call, &row);
        }
        world.append(Place::HostRelations, pair(*host, home));
    }
}

fn to_built_in(world: &mut World, call: &Call, default: i64) -> Outcome {
    let args = call.args()?;
    let business = args.int("bk_biz_id")?;
    let hosts = hosts(&args)?;
    let home = built_in(world, business, default)?;
    check_owner(world, business, &hosts)?;
    move_to(world, call, &hosts, home);
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
    move_to(world, call, &hosts, POOL);
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
    move_to(world, call, &hosts, home);
    Ok(Reply::Nothing)
}

/// `transfer_sethost_to_idle_module`: all hosts of a set, or of one of its modules.
pub(super) fn of_set_to_idle(world: &mut World, call: &Call) -> Outcome {
    let args = call.args()?;
    let (business, set, module) = (args.int("bk_biz_id")?, args.int("bk_set_id")?, args.int("bk_module_id")?);
    let home = built_in(world, business, 1)?;
    let mut inside = Filter::equal("bk_biz_id", business).and(Filter::equal("bk_set_id", set));
    if module != 0 {
        inside = inside.and(Filter::equal("bk_module_id", module));
    }
    let pairs = matching(&world.tables.host_relations, &inside);
    let hosts: std::collections::BTreeSet<i64> = pairs.iter().map(|pair| pair.int("bk_host_id")).collect();
    move_to(world, call, &hosts.into_iter().collect::<Vec<_>>(), home);
    Ok(Reply::Nothing)
}

/// A host relation as an answer shows it.
pub(super) fn shown(pair: &Row) -> Value {
    let mut cells: Map<String, Value> = pair.cells().map(|(name, value)| (name.to_owned(), value.clone())).collect();
    cells.entry("bk_supplier_account").or_insert_with(|| "0".into());
    Value::Object(cells)
}
