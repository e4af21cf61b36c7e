//! The table of operations: names, methods and paths behind the three accesses (section 2).

use std::sync::LazyLock;

use super::{
    association, association_read, attribute_write, audit,
    call::Call,
    category, definition, difference, host, host_read, host_write, instance, instance_write, module, process,
    process_instance, quoted,
    refusal::Outcome,
    service, service_instance, service_sync, service_write, set, set_sync, set_template, template_attribute, topology,
    world::{Tables, Version, World},
};

/// How the ESB hands an operation on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Component {
    /// There is none.
    None,
    /// The flat body, without what was consumed.
    Flat,
    /// The sub-object `data` is the body.
    Data,
    /// Only the arguments named are handed on.
    Only(&'static [&'static str]),
    /// Only the arguments named are handed on, and all are needed.
    Exactly(&'static [&'static str]),
    /// The sub-object `data` is the body, with the ids of hosts as a text.
    Hosts,
    /// A GET component with its arguments in the query.
    Get,
}

/// Which accesses serve an operation beside the api-server itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// The ESB and the gateway.
    Open,
    /// An ESB component outside the catalogue and a gateway resource that is not published: an installation may have
    /// them or not.
    Hidden,
}

/// What a server offers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Offer {
    pub(super) version: Version,
    /// True if hidden operations are served.
    pub(super) hidden: bool,
    /// True if everything counts as a component of the ESB, for calls that need none.
    pub(super) everything: bool,
}

impl Offer {
    /// Returns true if an operation is served behind the ESB or the gateway.
    fn has(self, operation: &Operation) -> bool {
        operation.since <= self.version && (self.hidden || operation.reach == Reach::Open)
    }
}

/// The function of a read.
pub(super) type Read = fn(&World, &Tables, &Call) -> Outcome;

/// The function of an operation.
#[derive(Clone, Copy)]
pub(super) enum Run {
    Read(Read),
    Records(fn(&World, &Call) -> Outcome),
    Write(fn(&mut World, &Call) -> Outcome),
    /// The long poll of `resource_watch`.
    Watch,
}

/// One operation. A name may have several, for paths that differ by access.
pub(super) struct Operation {
    pub(super) name: &'static str,
    pub(super) method: &'static str,
    /// Path at the api-server, below `/api/v3`; empty for none.
    pub(super) path: &'static str,
    /// Path at the gateway, below `/api/v3`; empty for none.
    pub(super) gateway: &'static str,
    pub(super) esb: Component,
    /// True if it reads a secondary, which may lag (section 5).
    pub(super) secondary: bool,
    pub(super) since: Version,
    /// The version that has its ESB component.
    esb_since: Version,
    reach: Reach,
    pub(super) run: Run,
}

impl Operation {
    const fn new(name: &'static str, method: &'static str, path: &'static str, run: Run) -> Self {
        let esb = Component::Flat;
        let (since, reach) = (Version::V3_9, Reach::Open);
        Self { name, method, path, gateway: path, esb, secondary: false, since, esb_since: since, reach, run }
    }

    const fn gateway(mut self, path: &'static str) -> Self {
        self.gateway = path;
        self
    }

    const fn esb(mut self, esb: Component) -> Self {
        self.esb = esb;
        self
    }

    const fn secondary(mut self) -> Self {
        self.secondary = true;
        self
    }

    const fn since(mut self, version: Version) -> Self {
        self.since = version;
        self
    }

    /// An operation with a hidden ESB component, from a version on.
    const fn hidden(mut self, esb_since: Version) -> Self {
        self.reach = Reach::Hidden;
        self.esb_since = esb_since;
        self
    }

    /// An operation without ESB component, whose gateway resource is hidden.
    const fn backend(mut self) -> Self {
        self.reach = Reach::Hidden;
        self.esb = Component::None;
        self
    }

    /// Returns true if the operation writes.
    pub(super) fn writes(&self) -> bool {
        matches!(self.run, Run::Write(_))
    }
}

const fn read(name: &'static str, path: &'static str, run: Read) -> Operation {
    Operation::new(name, "POST", path, Run::Read(run))
}

const fn post(name: &'static str, path: &'static str, run: fn(&mut World, &Call) -> Outcome) -> Operation {
    Operation::new(name, "POST", path, Run::Write(run))
}

const fn put(name: &'static str, path: &'static str, run: fn(&mut World, &Call) -> Outcome) -> Operation {
    Operation::new(name, "PUT", path, Run::Write(run))
}

const fn delete(name: &'static str, path: &'static str, run: fn(&mut World, &Call) -> Outcome) -> Operation {
    Operation::new(name, "DELETE", path, Run::Write(run))
}

const fn records(name: &'static str, path: &'static str, run: fn(&World, &Call) -> Outcome) -> Operation {
    Operation::new(name, "POST", path, Run::Records(run))
}

const SEARCH: Component = Component::Only(&["fields", "condition", "page"]);
const SEARCH_MODULE: Component = Component::Only(&["fields", "condition", "page", "bk_set_id"]);

const MOVE: Component = Component::Only(&["bk_biz_id", "bk_host_id"]);
const TRANSFER: Component = Component::Exactly(&["bk_biz_id", "bk_host_id", "bk_module_id", "is_increment"]);

/// All operations.
pub(super) static OPERATIONS: &[Operation] = &[
    read("search_business", "/biz/search/{bk_supplier_account}", set::search_businesses).esb(SEARCH),
    post("create_business", "/biz/{bk_supplier_account}", set::create_business).esb(Component::Data),
    put("update_business", "/biz/{bk_supplier_account}/{bk_biz_id}", set::update_business).esb(Component::Data),
    read("search_set", "/set/search/{bk_supplier_account}/{bk_biz_id}", set::search).esb(SEARCH),
    read("find_set_batch", "/findmany/set/bk_biz_id/{bk_biz_id}", set::find_batch),
    post("create_set", "/set/{bk_biz_id}", set::create).esb(Component::Data),
    put("update_set", "/set/{bk_biz_id}/{bk_set_id}", set::update).esb(Component::Data),
    delete("batch_delete_set", "/set/{bk_biz_id}/batch", set::delete_many),
    delete("delete_set", "/set/{bk_biz_id}/{bk_set_id}", set::delete),
    read("search_module", "/module/search/{bk_supplier_account}/{bk_biz_id}/{bk_set_id}", module::search)
        .esb(Component::None),
    read("search_module", "/findmany/module/biz/{bk_biz_id}", module::search_of_business)
        .gateway("")
        .esb(SEARCH_MODULE),
    read("find_module_batch", "/findmany/module/bk_biz_id/{bk_biz_id}", module::find_batch),
    read("find_module_with_relation", "/findmany/module/with_relation/biz/{bk_biz_id}", module::with_relation),
    Operation::new(
        "get_biz_internal_module",
        "GET",
        "/topo/internal/{bk_supplier_account}/{bk_biz_id}",
        Run::Read(module::internal),
    )
    .esb(Component::Get),
    post("create_module", "/module/{bk_biz_id}/{bk_set_id}", module::create).esb(Component::Data),
    put("update_module", "/module/{bk_biz_id}/{bk_set_id}/{bk_module_id}", module::update).esb(Component::Data),
    delete("delete_module", "/module/{bk_biz_id}/{bk_set_id}/{bk_module_id}", module::delete),
    read("search_inst", "/find/instassociation/object/{bk_obj_id}", instance::search_associated).secondary(),
    read("search_inst_by_object", "/inst/search/{bk_supplier_account}/{bk_obj_id}", instance::search_by_object)
        .gateway("/inst/search/owner/{bk_supplier_account}/object/{bk_obj_id}")
        .esb(Component::None),
    read("search_inst_by_object", "/find/instance/object/{bk_obj_id}", instance::search_by_object)
        .gateway("")
        .esb(SEARCH),
    read("search_object_instances", "/search/instances/object/{bk_obj_id}", instance::search)
        .secondary()
        .since(Version::V3_10),
    read("count_object_instances", "/count/instances/object/{bk_obj_id}", instance::count)
        .secondary()
        .since(Version::V3_10),
    post("create_inst", "/create/instance/object/{bk_obj_id}", instance_write::create),
    post("batch_create_inst", "/createmany/instance/object/{bk_obj_id}", instance_write::create_many)
        .since(Version::V3_10),
    put("update_inst", "/update/instance/object/{bk_obj_id}/inst/{bk_inst_id}", instance_write::update),
    put("batch_update_inst", "/updatemany/instance/object/{bk_obj_id}", instance_write::update_many),
    delete("delete_inst", "/delete/instance/object/{bk_obj_id}/inst/{bk_inst_id}", instance_write::delete),
    delete("batch_delete_inst", "/deletemany/instance/object/{bk_obj_id}", instance_write::delete_many),
    read("search_objects", "/find/object", definition::objects),
    read("search_object_attribute", "/find/objectattr", definition::attributes),
    post("create_object_attribute", "/create/objectattr", attribute_write::create),
    put("update_object_attribute", "/update/objectattr/{id}", attribute_write::update),
    delete("delete_object_attribute", "/delete/objectattr/{id}", attribute_write::delete),
    read("search_object_unique", "/find/objectunique/object/{bk_obj_id}", definition::uniques).backend(),
    read("find_object_association", "/find/objectassociation", definition::object_associations),
    read("find_instance_association", "/find/instassociation", association_read::find).secondary(),
    read(
        "find_instassociation_with_inst",
        "/find/instassociation/object/{bk_obj_id}/inst/detail",
        association_read::with_instances,
    )
    .secondary(),
    read("search_instance_associations", "/search/instance_associations/object/{bk_obj_id}", association_read::search)
        .secondary()
        .since(Version::V3_10),
    read("count_instance_associations", "/count/instance_associations/object/{bk_obj_id}", association_read::count)
        .secondary()
        .since(Version::V3_10),
    read("search_related_inst_asso", "/find/instassociation/related", association_read::related),
    post("add_instance_association", "/create/instassociation", association::create),
    post("batch_create_instance_association", "/createmany/instassociation", association::create_many)
        .since(Version::V3_10),
    delete("delete_related_inst_asso", "/delete/instassociation/batch", association::delete_many),
    delete("delete_instance_association", "/delete/instassociation/{bk_obj_id}/{id}", association::delete)
        .since(Version::V3_10),
    delete("delete_instance_association", "/delete/instassociation/{id}", association::delete_by_id),
    read("list_proc_template", "/findmany/proc/proc_template", process::list),
    read("get_proc_template", "/find/proc/proc_template/id/{process_template_id}", process::get),
    post("batch_create_proc_template", "/createmany/proc/proc_template", process::create_many),
    put("update_proc_template", "/update/proc/proc_template", process::update),
    delete("delete_proc_template", "/deletemany/proc/proc_template", process::delete_many),
    read("list_service_template", "/findmany/proc/service_template", service::list),
    Operation::new(
        "get_service_template",
        "GET",
        "/find/proc/service_template/{service_template_id}",
        Run::Read(service::get),
    )
    .esb(Component::Get),
    Operation::new(
        "get_service_template_detail",
        "GET",
        "/find/proc/service_template/{service_template_id}/detail",
        Run::Read(service::detail),
    )
    .backend(),
    read("count_service_template_info", "/findmany/proc/service_template/count_info/biz/{bk_biz_id}", service::counts)
        .backend(),
    post("create_service_template", "/create/proc/service_template", service_write::create),
    put("update_service_template", "/update/proc/service_template", service_write::update),
    delete("delete_service_template", "/delete/proc/service_template", service_write::delete),
    read("list_service_template_attribute", "/findmany/proc/service_template/attribute", template_attribute::list)
        .backend()
        .since(Version::V3_10),
    put("update_service_template_attribute", "/update/proc/service_template/attribute", template_attribute::update)
        .backend()
        .since(Version::V3_10),
    delete("delete_service_template_attribute", "/delete/proc/service_template/attribute", template_attribute::delete)
        .backend()
        .since(Version::V3_10),
    read("get_service_template_all_info", "/find/proc/service_template/all_info", template_attribute::all_info)
        .backend()
        .since(Version::V3_10),
    post("create_service_template_all_info", "/create/proc/service_template/all_info", template_attribute::create_all)
        .backend()
        .since(Version::V3_10),
    put("update_service_template_all_info", "/update/proc/service_template/all_info", template_attribute::update_all)
        .backend()
        .since(Version::V3_10),
    put("sync_service_template_to_service_instance", "/update/proc/service_instance/sync", service_sync::start)
        .hidden(Version::V3_14),
    read(
        "list_service_template_sync_status",
        "/findmany/proc/service_template_sync_status/bk_biz_id/{bk_biz_id}",
        service_sync::states,
    )
    .since(Version::V3_10)
    .hidden(Version::V3_14),
    read(
        "list_service_template_difference",
        "/findmany/proc/service_template/sync_status/biz/{bk_biz_id}",
        difference::list,
    )
    .since(Version::V3_10)
    .hidden(Version::V3_14),
    read(
        "get_service_template_general_difference",
        "/find/proc/service_template/general_difference",
        difference::general,
    )
    .since(Version::V3_10)
    .backend(),
    read("list_service_category", "/findmany/proc/service_category", category::list),
    post("create_service_category", "/create/proc/service_category", category::create),
    put("update_service_category", "/update/proc/service_category", category::update),
    delete("delete_service_category", "/delete/proc/service_category", category::delete),
    post("create_set_template", "/create/topo/set_template/bk_biz_id/{bk_biz_id}", set_template::create),
    put(
        "update_set_template",
        "/update/topo/set_template/{set_template_id}/bk_biz_id/{bk_biz_id}",
        set_template::update,
    ),
    delete("delete_set_template", "/deletemany/topo/set_template/bk_biz_id/{bk_biz_id}", set_template::delete_many),
    read("list_set_template", "/findmany/topo/set_template/bk_biz_id/{bk_biz_id}", set_template::list),
    Operation::new(
        "list_set_template_related_service_template",
        "GET",
        "/findmany/topo/set_template/{set_template_id}/bk_biz_id/{bk_biz_id}/service_templates",
        Run::Read(set_template::related),
    )
    .esb(Component::Get),
    post(
        "sync_set_template_to_set",
        "/updatemany/topo/set_template/{set_template_id}/bk_biz_id/{bk_biz_id}/sync_to_instances",
        set_sync::start,
    ),
    read(
        "list_set_template_sync_status",
        "/findmany/topo/set_template_sync_status/bk_biz_id/{bk_biz_id}",
        set_sync::states,
    )
    .backend(),
    read("list_quoted_inst", "/findmany/quoted/instance", quoted::list).since(Version::V3_10),
    put("batch_update_quoted_inst", "/updatemany/quoted/instance", quoted::update).since(Version::V3_10),
    read("search_cloud_area", "/findmany/cloudarea", topology::cloud_areas),
    read("list_biz_hosts", "/hosts/app/{bk_biz_id}/list_hosts", host_read::of_business),
    read(
        "find_host_by_service_template",
        "/findmany/hosts/by_service_templates/biz/{bk_biz_id}",
        host_read::of_templates,
    ),
    read("list_hosts_without_biz", "/hosts/list_hosts_without_app", host_read::anywhere),
    read("list_biz_hosts_topo", "/hosts/app/{bk_biz_id}/list_hosts_topo", host_read::with_topology),
    read("find_host_biz_relations", "/hosts/modules/read", host_read::of_hosts),
    put("update_host", "/hosts/batch", host_write::update).esb(Component::Hosts),
    put("batch_update_host", "/hosts/property/batch", host_write::update_many),
    post("transfer_host_module", "/hosts/modules", host::transfer).esb(TRANSFER),
    post("transfer_host_to_idlemodule", "/hosts/modules/idle", host::to_idle).esb(MOVE),
    post("transfer_host_to_faultmodule", "/hosts/modules/fault", host::to_fault).esb(MOVE),
    post("transfer_host_to_recyclemodule", "/hosts/modules/recycle", host::to_recycle),
    post("transfer_host_to_resourcemodule", "/hosts/modules/resource", host::to_pool).esb(MOVE),
    post("transfer_resourcehost_to_idlemodule", "/hosts/modules/resource/idle", host::from_pool).esb(MOVE),
    post("transfer_sethost_to_idle_module", "/hosts/modules/idle/set", host::of_set_to_idle),
    read("find_host_topo_relation", "/host/topo/relation/read", host_read::relations),
    read("list_service_instance", "/findmany/proc/service_instance", service_instance::list),
    read("list_service_instance_detail", "/findmany/proc/service_instance/details", service_instance::list_details),
    delete("delete_service_instance", "/deletemany/proc/service_instance", service_instance::delete_many),
    read("list_process_instance", "/findmany/proc/process_instance", process_instance::list),
    put("update_process_instance", "/update/proc/process_instance", process_instance::update),
    Operation::new("resource_watch", "POST", "/event/watch/resource/{bk_resource}", Run::Watch),
    records("list_operation_audit", "/findmany/audit_list", audit::list).hidden(Version::V3_9),
    records("find_audit_by_id", "/find/audit", audit::find).hidden(Version::V3_9),
    records("find_inst_audit", "/find/inst_audit", audit::of_instance).backend(),
];

/// A path with the variables it has.
struct Pattern {
    operation: &'static Operation,
    segments: Vec<Result<&'static str, &'static str>>,
}

impl Pattern {
    /// Splits a path; variables are on the error side.
    fn of(operation: &'static Operation, path: &'static str) -> Self {
        let segment = |part: &'static str| match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
            Some(name) => Err(name),
            None => Ok(part),
        };
        Self { operation, segments: path.split('/').skip(1).map(segment).collect() }
    }

    fn fits(&self, segments: &[String]) -> bool {
        self.segments.len() == segments.len()
            && self
                .segments
                .iter()
                .zip(segments)
                .all(|(wanted, found)| wanted.is_err() || *wanted == Ok(found.as_str()))
    }

    fn vars(&self, segments: &[String]) -> Vec<(&'static str, String)> {
        let pairs = self.segments.iter().zip(segments);
        pairs.filter_map(|(wanted, found)| wanted.err().map(|name| (name, found.clone()))).collect()
    }
}

/// The result of looking up a path.
pub(super) enum Route {
    Found(&'static Operation, Vec<(&'static str, String)>),
    /// The path is known with another method.
    WrongMethod,
    Unknown,
}

static DIRECT: LazyLock<Vec<Pattern>> = LazyLock::new(|| patterns(|operation| operation.path));
static GATEWAY: LazyLock<Vec<Pattern>> = LazyLock::new(|| patterns(|operation| operation.gateway));

fn patterns(path: fn(&'static Operation) -> &'static str) -> Vec<Pattern> {
    let known = OPERATIONS.iter().filter(|operation| !path(operation).is_empty());
    known.map(|operation| Pattern::of(operation, path(operation))).collect()
}

/// Finds the operation of a path, split into its decoded segments.
pub(super) fn route(gateway: bool, method: &str, segments: &[String], offer: Offer) -> Route {
    let table: &[Pattern] = if gateway { &GATEWAY } else { &DIRECT };
    let mut fitting = table.iter().filter(|pattern| {
        // The form without model went when the other came (section 6).
        let operation = pattern.operation;
        let replaced = operation.path == "/delete/instassociation/{id}" && offer.version >= Version::V3_10;
        let offered = if gateway { offer.has(operation) } else { operation.since <= offer.version };
        offered && !replaced && pattern.fits(segments)
    });
    let mut known = false;
    let found = fitting.find(|pattern| {
        known = true;
        pattern.operation.method == method
    });
    match found {
        Some(pattern) => Route::Found(pattern.operation, pattern.vars(segments)),
        None if known => Route::WrongMethod,
        None => Route::Unknown,
    }
}

/// Returns true if some path begins with the same two segments.
pub(super) fn begins_known(segments: &[String]) -> bool {
    DIRECT.iter().any(|pattern| {
        let pairs = pattern.segments.iter().zip(segments).take(2);
        segments.len() > 1
            && pairs.fold(true, |all, (wanted, found)| all && (wanted.is_err() || *wanted == Ok(found.as_str())))
    })
}

/// Finds the operation of an ESB component with the names of the variables in its target's path.
pub(super) fn component(name: &str, offer: Offer) -> Option<(&'static Operation, Vec<&'static str>)> {
    let named = || {
        DIRECT.iter().filter(|pattern| {
            let operation = pattern.operation;
            let replaced = operation.path == "/delete/instassociation/{id}" && offer.version >= Version::V3_10;
            operation.name == name && offer.has(operation) && !replaced
        })
    };
    let is_component = |operation: &Operation| operation.esb != Component::None;
    let served = named().find(|pattern| {
        is_component(pattern.operation) && (offer.everything || pattern.operation.esb_since <= offer.version)
    });
    let pattern = served.or_else(|| named().next().filter(|_| offer.everything))?;
    Some((pattern.operation, pattern.segments.iter().filter_map(|segment| segment.err()).collect()))
}
