//! Moves of hosts between modules, and to and from the resource pool.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::{Value, json};

use super::{
    args::Args,
    audit::{Record, Subject},
    call::Call,
    filter::Filter,
    host_read::topology,
    page::matching,
    refusal::{Outcome, Refusal, Reply},
    row::Row,
    service_instance::{self, Order},
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
        let hosts: Vec<String> = hosts.iter().map(i64::to_string).collect();
        let hosts = hosts.join(", ");
        let text = format!("hostID [[]int64{{{hosts}}}] does not belong of  businessID [[{business}]]");
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

/// Takes a host out of a module, with its service instance there.
fn leave(world: &mut World, call: &Call, (id, pair): &(i64, Arc<Row>)) {
    world.put(Place::HostRelations, *id, None);
    let here = Filter::equal("bk_host_id", pair.int("bk_host_id"))
        .and(Filter::equal("bk_module_id", pair.int("bk_module_id")));
    let instances: Vec<Arc<Row>> = matching(&world.tables.service_instances, &here).into_iter().cloned().collect();
    for row in instances {
        service_instance::remove(world, call, &row);
    }
}

/// Moves hosts to one module, out of all others. Their service instances go.
fn move_to(world: &mut World, call: &Call, hosts: &[i64], home: Home) {
    for host in hosts.iter().copied().collect::<BTreeSet<i64>>() {
        let before = Placement::of(world, host);
        for pair in pairs(world, host) {
            leave(world, call, &pair);
        }
        world.append(Place::HostRelations, pair(host, home));
        before.note(world, call);
    }
}

/// Where a host was before a transfer.
struct Placement {
    host: i64,
    business: i64,
    topology: Value,
}

impl Placement {
    fn of(world: &World, host: i64) -> Self {
        let business = pairs(world, host).first().map_or(0, |(_, pair)| pair.int("bk_biz_id"));
        Self { host, business, topology: topology(&world.tables, business, host) }
    }

    /// Notes the audit record of a transfer, also of one that changed nothing.
    fn note(self, world: &mut World, call: &Call) {
        let after = Self::of(world, self.host);
        let host = service_instance::host(&world.tables, self.host).cloned();
        let address = host.as_ref().map_or("", |row| row.text("bk_host_innerip"));
        let shown = |place: &Self| json!({"bk_biz_id": place.business, "set": place.topology});
        let detail = json!({"bk_host_id": self.host, "bk_host_innerip": address, "pre_data": shown(&self),
            "cur_data": shown(&after)});
        let subject = Subject { model: "host", id: self.host, name: address, business: Some(after.business) };
        world.note(Record::transfer(world, call, &subject, detail));
    }
}

/// A refusal of an internal call, whose own code is lost.
fn inner(text: &str) -> Refusal {
    Refusal::new(1_199_002, format!("HTTP request failed%!(EXTRA string={text})"))
}

/// Finds the modules that hosts are to be in.
fn targets(world: &World, business: i64, ids: &[i64]) -> Result<Vec<Arc<Row>>, Refusal> {
    let find = |id: &i64| world.tables.modules.get(*id).filter(|row| row.int("bk_biz_id") == business).cloned();
    let modules: Option<Vec<Arc<Row>>> = ids.iter().collect::<BTreeSet<_>>().into_iter().map(find).collect();
    modules.ok_or_else(|| Refusal::new(1_101_080, "topo module not found"))
}

/// `transfer_host_module`: adds modules to hosts, or replaces all modules of theirs.
pub(super) fn transfer(world: &mut World, call: &Call) -> Outcome {
    let args = call.args()?;
    let (business, named, modules) = (args.int("bk_biz_id")?, args.ints("bk_host_id")?, args.ints("bk_module_id")?);
    let (adds, bare) = (args.flag("is_increment")?, args.flag("disable_auto_create")?);
    let modules = targets(world, business, &modules)?;
    let hosts = hosts(&args)?;
    if modules.iter().any(|row| row.int("default") != 0) {
        return Err(inner("transfer host to default module use the wrong method"));
    }
    if modules.is_empty() {
        return Err(inner("'bk_module_id' unassigned"));
    }
    check_owner(world, business, &hosts).map_err(|refusal| inner(&refusal.text))?;
    for host in named.into_iter().collect::<BTreeSet<i64>>() {
        let before = Placement::of(world, host);
        for pair in pairs(world, host) {
            let module = world.tables.modules.get(pair.1.int("bk_module_id"));
            let built_in = module.is_some_and(|row| row.int("default") != 0);
            let stays = modules.iter().any(|row| row.int("bk_module_id") == pair.1.int("bk_module_id"));
            if built_in || !(adds || stays) {
                leave(world, call, &pair);
            }
        }
        for module in &modules {
            let home = Home { business, set: module.int("bk_set_id"), module: module.int("bk_module_id") };
            if is_in(world, host, |pair| pair.int("bk_module_id") == home.module) {
                continue;
            }
            world.append(Place::HostRelations, pair(host, home));
            if !bare {
                service_instance::add(world, call, module, host, Order::NewestFirst);
            }
        }
        before.note(world, call);
    }
    Ok(Reply::Nothing)
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
    let hosts: BTreeSet<i64> = pairs.iter().map(|pair| pair.int("bk_host_id")).collect();
    move_to(world, call, &hosts.into_iter().collect::<Vec<_>>(), home);
    Ok(Reply::Nothing)
}
