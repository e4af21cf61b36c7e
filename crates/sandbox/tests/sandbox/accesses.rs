//! The CMDB's operations as the contract's table lists them, and requests for them through each access.

use reconcile_sandbox::simulator::Request;
use serde_json::{Map, Value, json};

/// How the ESB takes the attributes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Esb {
    /// In the flat body.
    Flat,
    /// Below `data`.
    Data,
    /// Below `data`, but for the ids of hosts.
    Hosts,
    /// By GET, in the query.
    Get,
    /// There is no component.
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Esb,
    Gateway,
    Direct,
}

pub(crate) const ACCESSES: [Access; 3] = [Access::Esb, Access::Gateway, Access::Direct];

/// An operation with a call that succeeds on the state of `operations.rs`.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    pub(crate) name: &'static str,
    pub(crate) method: &'static str,
    /// Path at the gateway; empty where it has none.
    pub(crate) gateway: &'static str,
    /// Path at the api-server.
    pub(crate) direct: &'static str,
    pub(crate) esb: Esb,
    /// The variables of the paths.
    pub(crate) vars: Value,
    pub(crate) body: Value,
}

/// Rules that find one value.
pub(crate) fn equal(field: &str, value: impl Into<Value>) -> Value {
    json!({"condition": "AND", "rules": [{"field": field, "operator": "equal", "value": value.into()}]})
}

/// Every row of the contract's table.
#[rustfmt::skip]
pub(crate) fn operations() -> Vec<Operation> {
    use Esb::{Data, Flat, Get, None};
    let row = |name, method, gateway, direct, esb, vars, body| Operation { name, method, gateway, direct, esb, vars, body };
    let account = |mut vars: Value| { vars["bk_supplier_account"] = json!("0"); vars };
    let page = || json!({"start": 0, "limit": 10});
    let rack = || json!({"bk_obj_id": "rack"});
    let process = || json!({"bk_process_name": {"value": "p2"}, "bk_func_name": {"value": "p2"}});
    vec![
        same("search_business", "POST", "/biz/search/{bk_supplier_account}", Flat, account(json!({})), json!({"condition": {"bk_biz_name": "demo"}})),
        same("create_business", "POST", "/biz/{bk_supplier_account}", Data, account(json!({})), json!({"bk_biz_name": "new", "bk_biz_maintainer": "amy", "time_zone": "UTC", "language": "1"})),
        same("update_business", "PUT", "/biz/{bk_supplier_account}/{bk_biz_id}", Data, account(json!({"bk_biz_id": 3})), json!({"bk_biz_name": "renamed"})),
        same("search_set", "POST", "/set/search/{bk_supplier_account}/{bk_biz_id}", Flat, account(json!({"bk_biz_id": 3})), json!({"condition": {"bk_set_name": "a"}})),
        same("find_set_batch", "POST", "/findmany/set/bk_biz_id/{bk_biz_id}", Flat, json!({"bk_biz_id": 3}), json!({"bk_ids": [5], "fields": ["bk_set_name"]})),
        same("create_set", "POST", "/set/{bk_biz_id}", Data, json!({"bk_biz_id": 3}), json!({"bk_set_name": "b", "bk_parent_id": 3})),
        same("update_set", "PUT", "/set/{bk_biz_id}/{bk_set_id}", Data, json!({"bk_biz_id": 3, "bk_set_id": 5}), json!({"bk_set_desc": "x"})),
        same("delete_set", "DELETE", "/set/{bk_biz_id}/{bk_set_id}", Flat, json!({"bk_biz_id": 3, "bk_set_id": 6}), json!({})),
        row("search_module", "POST", "/module/search/{bk_supplier_account}/{bk_biz_id}/{bk_set_id}", "/module/search/{bk_supplier_account}/{bk_biz_id}/{bk_set_id}", Flat, account(json!({"bk_biz_id": 3, "bk_set_id": 5})), json!({"condition": {"bk_module_name": "m"}})),
        row("search_module", "POST", "", "/findmany/module/biz/{bk_biz_id}", None, json!({"bk_biz_id": 3}), json!({"condition": {"bk_module_name": "m"}, "bk_set_id": 5})),
        same("find_module_batch", "POST", "/findmany/module/bk_biz_id/{bk_biz_id}", Flat, json!({"bk_biz_id": 3}), json!({"bk_ids": [7], "fields": ["bk_module_name"]})),
        same("find_module_with_relation", "POST", "/findmany/module/with_relation/biz/{bk_biz_id}", Flat, json!({"bk_biz_id": 3}), json!({"bk_service_template_ids": [1], "fields": ["bk_module_id"], "page": page()})),
        same("get_biz_internal_module", "GET", "/topo/internal/{bk_supplier_account}/{bk_biz_id}", Get, account(json!({"bk_biz_id": 3})), json!({})),
        same("create_module", "POST", "/module/{bk_biz_id}/{bk_set_id}", Data, json!({"bk_biz_id": 3, "bk_set_id": 5}), json!({"bk_module_name": "n", "bk_parent_id": 5})),
        same("update_module", "PUT", "/module/{bk_biz_id}/{bk_set_id}/{bk_module_id}", Data, json!({"bk_biz_id": 3, "bk_set_id": 5, "bk_module_id": 7}), json!({"operator": "amy"})),
        same("delete_module", "DELETE", "/module/{bk_biz_id}/{bk_set_id}/{bk_module_id}", Flat, json!({"bk_biz_id": 3, "bk_set_id": 5, "bk_module_id": 7}), json!({})),
        same("search_inst", "POST", "/find/instassociation/object/{bk_obj_id}", Flat, rack(), json!({"condition": {"rack": [{"field": "bk_inst_name", "operator": "$eq", "value": "r1"}]}, "page": page()})),
        row("search_inst_by_object", "POST", "/inst/search/owner/{bk_supplier_account}/object/{bk_obj_id}", "/inst/search/{bk_supplier_account}/{bk_obj_id}", Flat, account(rack()), json!({"condition": {"bk_inst_name": "r1"}, "page": page()})),
        same("search_object_instances", "POST", "/search/instances/object/{bk_obj_id}", Flat, rack(), json!({"conditions": equal("bk_inst_name", "r1"), "page": page()})),
        same("count_object_instances", "POST", "/count/instances/object/{bk_obj_id}", Flat, rack(), json!({"conditions": equal("bk_inst_name", "r1")})),
        same("create_inst", "POST", "/create/instance/object/{bk_obj_id}", Flat, rack(), json!({"bk_inst_name": "r9"})),
        same("batch_create_inst", "POST", "/createmany/instance/object/{bk_obj_id}", Flat, rack(), json!({"details": [{"bk_inst_name": "r9"}, {}]})),
        same("update_inst", "PUT", "/update/instance/object/{bk_obj_id}/inst/{bk_inst_id}", Flat, json!({"bk_obj_id": "rack", "bk_inst_id": 1}), json!({"room": "b"})),
        same("batch_update_inst", "PUT", "/updatemany/instance/object/{bk_obj_id}", Flat, rack(), json!({"update": [{"inst_id": 1, "datas": {"room": "b"}}]})),
        same("delete_inst", "DELETE", "/delete/instance/object/{bk_obj_id}/inst/{bk_inst_id}", Flat, json!({"bk_obj_id": "rack", "bk_inst_id": 2}), json!({})),
        same("batch_delete_inst", "DELETE", "/deletemany/instance/object/{bk_obj_id}", Flat, rack(), json!({"delete": {"inst_ids": [2]}})),
        same("search_objects", "POST", "/find/object", Flat, json!({}), json!({"bk_obj_id": "rack"})),
        same("search_object_attribute", "POST", "/find/objectattr", Flat, json!({}), json!({"bk_obj_id": "rack"})),
        same("search_object_unique", "POST", "/find/objectunique/object/{bk_obj_id}", None, rack(), json!({})),
        same("find_object_association", "POST", "/find/objectassociation", Flat, json!({}), json!({"condition": {"bk_obj_id": "server"}})),
        same("find_instance_association", "POST", "/find/instassociation", Flat, json!({}), json!({"bk_obj_id": "rack", "condition": {}})),
        same("find_instassociation_with_inst", "POST", "/find/instassociation/object/{bk_obj_id}/inst/detail", Flat, rack(), json!({"condition": {"src_detail": true, "dst_detail": true}, "page": page()})),
        same("search_instance_associations", "POST", "/search/instance_associations/object/{bk_obj_id}", Flat, rack(), json!({"page": page()})),
        same("count_instance_associations", "POST", "/count/instance_associations/object/{bk_obj_id}", Flat, json!({"bk_obj_id": "server"}), json!({})),
        same("search_related_inst_asso", "POST", "/find/instassociation/related", Flat, json!({}), json!({"condition": {"bk_obj_id": "rack", "bk_inst_id": 1}, "fields": ["id"], "page": page()})),
        same("add_instance_association", "POST", "/create/instassociation", Flat, json!({}), json!({"bk_obj_asst_id": "server_in_rack", "bk_inst_id": 3, "bk_asst_inst_id": 2})),
        same("batch_create_instance_association", "POST", "/createmany/instassociation", Flat, json!({}), json!({"bk_obj_id": "server", "bk_asst_obj_id": "rack", "bk_obj_asst_id": "server_in_rack", "details": [{"bk_inst_id": 3, "bk_asst_inst_id": 2}]})),
        same("delete_instance_association", "DELETE", "/delete/instassociation/{bk_obj_id}/{id}", Flat, json!({"bk_obj_id": "rack", "id": 4}), json!({})),
        same("delete_related_inst_asso", "DELETE", "/delete/instassociation/batch", Flat, json!({}), json!({"bk_obj_id": "rack", "id": [4]})),
        same("list_proc_template", "POST", "/findmany/proc/proc_template", Flat, json!({}), json!({"bk_biz_id": 3, "service_template_id": 1})),
        same("get_proc_template", "POST", "/find/proc/proc_template/id/{process_template_id}", Flat, json!({"process_template_id": 1}), json!({"bk_biz_id": 3})),
        same("batch_create_proc_template", "POST", "/createmany/proc/proc_template", Flat, json!({}), json!({"bk_biz_id": 3, "service_template_id": 1, "processes": [{"spec": process()}]})),
        same("update_proc_template", "PUT", "/update/proc/proc_template", Flat, json!({}), json!({"bk_biz_id": 3, "process_template_id": 1, "process_property": {"proc_num": {"value": 2}}})),
        same("delete_proc_template", "DELETE", "/deletemany/proc/proc_template", Flat, json!({}), json!({"bk_biz_id": 3, "process_templates": [1]})),
        same("list_service_template", "POST", "/findmany/proc/service_template", Flat, json!({}), json!({"bk_biz_id": 3, "page": page()})),
        same("get_service_template", "GET", "/find/proc/service_template/{service_template_id}", Get, json!({"service_template_id": 1}), json!({})),
        same("create_service_template", "POST", "/create/proc/service_template", Flat, json!({}), json!({"bk_biz_id": 3, "name": "db", "service_category_id": 2})),
        same("list_quoted_inst", "POST", "/findmany/quoted/instance", Flat, json!({}), json!({"bk_obj_id": "rack", "bk_property_id": "disks", "filter": equal("bk_inst_id", 1), "page": page()})),
        same("batch_update_quoted_inst", "PUT", "/updatemany/quoted/instance", Flat, json!({}), json!({"bk_obj_id": "rack", "bk_property_id": "disks", "ids": [1], "data": {"size": 20}})),
        same("search_cloud_area", "POST", "/findmany/cloudarea", Flat, json!({}), json!({"page": page()})),
        same("resource_watch", "POST", "/event/watch/resource/{bk_resource}", Flat, json!({"bk_resource": "object_instance"}), json!({})),
    ]
    .into_iter()
    .chain(templates())
    .chain(hosts())
    .collect()
}

/// An operation with one path at the gateway and the api-server.
fn same(name: &'static str, method: &'static str, path: &'static str, esb: Esb, vars: Value, body: Value) -> Operation {
    Operation { name, method, gateway: path, direct: path, esb, vars, body }
}

/// Service templates, categories, set templates and their roll-out.
#[rustfmt::skip]
fn templates() -> Vec<Operation> {
    use Esb::{Flat, Get, None};
    let page = || json!({"start": 0, "limit": 10});
    let process = || json!({"bk_process_name": {"value": "p2"}, "bk_func_name": {"value": "p2"}});
    vec![
        same("update_service_template", "PUT", "/update/proc/service_template", Flat, json!({}), json!({"id": 1, "name": "web2"})),
        same("delete_service_template", "DELETE", "/delete/proc/service_template", Flat, json!({}), json!({"bk_biz_id": 3, "service_template_id": 2})),
        same("get_service_template_detail", "GET", "/find/proc/service_template/{service_template_id}/detail", None, json!({"service_template_id": 1}), json!({})),
        same("count_service_template_info", "POST", "/findmany/proc/service_template/count_info/biz/{bk_biz_id}", None, json!({"bk_biz_id": 3}), json!({"service_template_ids": [1]})),
        same("list_service_template_attribute", "POST", "/findmany/proc/service_template/attribute", None, json!({}), json!({"bk_biz_id": 3, "id": 1})),
        same("update_service_template_attribute", "PUT", "/update/proc/service_template/attribute", None, json!({}), json!({"bk_biz_id": 3, "id": 1, "attributes": [{"bk_attribute_id": 810, "bk_property_value": "z-2"}]})),
        same("delete_service_template_attribute", "DELETE", "/delete/proc/service_template/attribute", None, json!({}), json!({"bk_biz_id": 3, "id": 1, "bk_attribute_ids": [810]})),
        same("get_service_template_all_info", "POST", "/find/proc/service_template/all_info", None, json!({}), json!({"bk_biz_id": 3, "id": 1})),
        same("create_service_template_all_info", "POST", "/create/proc/service_template/all_info", None, json!({}), json!({"bk_biz_id": 3, "name": "all", "service_category_id": 2, "attributes": [{"bk_attribute_id": 810, "bk_property_value": "z"}], "processes": [{"property": process()}]})),
        same("update_service_template_all_info", "PUT", "/update/proc/service_template/all_info", None, json!({}), json!({"bk_biz_id": 3, "id": 1, "name": "web", "service_category_id": 2, "processes": [{"id": 1, "property": {"proc_num": {"value": 3}}}, {"property": process()}]})),
        same("sync_service_template_to_service_instance", "PUT", "/update/proc/service_instance/sync", Flat, json!({}), json!({"bk_biz_id": 3, "service_template_id": 1, "bk_module_ids": [8]})),
        same("list_service_template_sync_status", "POST", "/findmany/proc/service_template_sync_status/bk_biz_id/{bk_biz_id}", Flat, json!({"bk_biz_id": 3}), json!({"service_template_id": 1, "bk_module_ids": [8]})),
        same("list_service_template_difference", "POST", "/findmany/proc/service_template/sync_status/biz/{bk_biz_id}", Flat, json!({"bk_biz_id": 3}), json!({"bk_module_ids": [8]})),
        same("get_service_template_general_difference", "POST", "/find/proc/service_template/general_difference", None, json!({}), json!({"bk_biz_id": 3, "service_template_id": 1, "bk_module_id": 8})),
        same("list_service_category", "POST", "/findmany/proc/service_category", Flat, json!({}), json!({"bk_biz_id": 3})),
        same("create_service_category", "POST", "/create/proc/service_category", Flat, json!({}), json!({"bk_biz_id": 3, "name": "Web"})),
        same("update_service_category", "PUT", "/update/proc/service_category", Flat, json!({}), json!({"bk_biz_id": 3, "id": 30, "name": "Net"})),
        same("delete_service_category", "DELETE", "/delete/proc/service_category", Flat, json!({}), json!({"bk_biz_id": 3, "id": 30})),
        same("create_set_template", "POST", "/create/topo/set_template/bk_biz_id/{bk_biz_id}", Flat, json!({"bk_biz_id": 3}), json!({"name": "small", "service_template_ids": [1]})),
        same("update_set_template", "PUT", "/update/topo/set_template/{set_template_id}/bk_biz_id/{bk_biz_id}", Flat, json!({"bk_biz_id": 3, "set_template_id": 1}), json!({"name": "large", "service_template_ids": [1]})),
        same("delete_set_template", "DELETE", "/deletemany/topo/set_template/bk_biz_id/{bk_biz_id}", Flat, json!({"bk_biz_id": 3}), json!({"set_template_ids": [2]})),
        same("list_set_template", "POST", "/findmany/topo/set_template/bk_biz_id/{bk_biz_id}", Flat, json!({"bk_biz_id": 3}), json!({"page": page()})),
        same("list_set_template_related_service_template", "GET", "/findmany/topo/set_template/{set_template_id}/bk_biz_id/{bk_biz_id}/service_templates", Get, json!({"bk_biz_id": 3, "set_template_id": 1}), json!({})),
        same("sync_set_template_to_set", "POST", "/updatemany/topo/set_template/{set_template_id}/bk_biz_id/{bk_biz_id}/sync_to_instances", Flat, json!({"bk_biz_id": 3, "set_template_id": 1}), json!({"bk_set_ids": [6]})),
        same("list_set_template_sync_status", "POST", "/findmany/topo/set_template_sync_status/bk_biz_id/{bk_biz_id}", None, json!({"bk_biz_id": 3}), json!({"set_template_id": 1, "bk_set_ids": [6], "page": page()})),
    ]
}

/// Hosts, service instances, attributes.
#[rustfmt::skip]
fn hosts() -> Vec<Operation> {
    use Esb::{Flat, Hosts};
    let page = || json!({"start": 0, "limit": 10});
    vec![
        same("list_service_instance", "POST", "/findmany/proc/service_instance", Flat, json!({}), json!({"bk_biz_id": 3, "bk_module_id": 9})),
        same("list_service_instance_detail", "POST", "/findmany/proc/service_instance/details", Flat, json!({}), json!({"bk_biz_id": 3, "page": page()})),
        same("delete_service_instance", "DELETE", "/deletemany/proc/service_instance", Flat, json!({}), json!({"bk_biz_id": 3, "service_instance_ids": [1]})),
        same("list_process_instance", "POST", "/findmany/proc/process_instance", Flat, json!({}), json!({"bk_biz_id": 3, "service_instance_id": 1})),
        same("update_process_instance", "PUT", "/update/proc/process_instance", Flat, json!({}), json!({"bk_biz_id": 3, "processes": [{"bk_process_id": 1, "description": "own"}]})),
        same("list_biz_hosts", "POST", "/hosts/app/{bk_biz_id}/list_hosts", Flat, json!({"bk_biz_id": 3}), json!({"fields": ["bk_host_id"], "page": page()})),
        same("list_hosts_without_biz", "POST", "/hosts/list_hosts_without_app", Flat, json!({}), json!({"host_property_filter": equal("bk_host_innerip", "10.0.0.1"), "page": page()})),
        same("list_biz_hosts_topo", "POST", "/hosts/app/{bk_biz_id}/list_hosts_topo", Flat, json!({"bk_biz_id": 3}), json!({"fields": ["bk_host_id"], "page": page()})),
        same("find_host_by_service_template", "POST", "/findmany/hosts/by_service_templates/biz/{bk_biz_id}", Flat, json!({"bk_biz_id": 3}), json!({"bk_service_template_ids": [1], "fields": ["bk_host_id"], "page": page()})),
        same("find_host_topo_relation", "POST", "/host/topo/relation/read", Flat, json!({}), json!({"bk_biz_id": 3, "page": page()})),
        same("find_host_biz_relations", "POST", "/hosts/modules/read", Flat, json!({}), json!({"bk_host_id": [1]})),
        same("update_host", "PUT", "/hosts/batch", Hosts, json!({}), json!({"bk_host_id": "1,2", "operator": "amy"})),
        same("batch_update_host", "PUT", "/hosts/property/batch", Flat, json!({}), json!({"update": [{"bk_host_id": 1, "properties": {"operator": "amy"}}]})),
        same("transfer_host_module", "POST", "/hosts/modules", Flat, json!({}), json!({"bk_biz_id": 3, "bk_host_id": [1], "bk_module_id": [7], "is_increment": false})),
        same("transfer_host_to_idlemodule", "POST", "/hosts/modules/idle", Flat, json!({}), json!({"bk_biz_id": 3, "bk_host_id": [1]})),
        same("transfer_host_to_faultmodule", "POST", "/hosts/modules/fault", Flat, json!({}), json!({"bk_biz_id": 3, "bk_host_id": [1]})),
        same("transfer_host_to_recyclemodule", "POST", "/hosts/modules/recycle", Flat, json!({}), json!({"bk_biz_id": 3, "bk_host_id": [1]})),
        same("transfer_host_to_resourcemodule", "POST", "/hosts/modules/resource", Flat, json!({}), json!({"bk_biz_id": 3, "bk_host_id": [3]})),
        same("transfer_resourcehost_to_idlemodule", "POST", "/hosts/modules/resource/idle", Flat, json!({}), json!({"bk_biz_id": 3, "bk_host_id": [4]})),
        same("transfer_sethost_to_idle_module", "POST", "/hosts/modules/idle/set", Flat, json!({}), json!({"bk_biz_id": 3, "bk_set_id": 5, "bk_module_id": 0})),
        same("update_object_attribute", "PUT", "/update/objectattr/{id}", Flat, json!({"id": 800}), json!({"placeholder": "where"})),
        same("delete_object_attribute", "DELETE", "/delete/objectattr/{id}", Flat, json!({"id": 800}), json!({})),
        same("batch_delete_set", "DELETE", "/set/{bk_biz_id}/batch", Flat, json!({"bk_biz_id": 3}), json!({"delete": {"inst_ids": [6]}})),
    ]
}

impl Operation {
    /// Returns a request through an access; `None` if the access has no such operation.
    pub(crate) fn request(&self, access: Access, vars: &Value, body: &Value) -> Option<Request> {
        let none = Map::new();
        let vars = vars.as_object().unwrap_or(&none);
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let fill = |path: &str| {
            let filled =
                |path: String, (name, value): (&String, &Value)| path.replace(&format!("{{{name}}}"), &text(value));
            vars.iter().fold(path.to_owned(), filled)
        };
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let (method, path, query, headers, body) = match access {
            Access::Esb if self.esb == Esb::None => return None,
            Access::Gateway if self.gateway.is_empty() => return None,
            Access::Esb => {
                let path = format!("/api/c/compapi/v2/cc/{}/", self.name);
                let pairs = vars.iter().map(|(name, value)| format!("{name}={}", text(value)));
                let query = pairs.collect::<Vec<_>>().join("&");
                let mut whole = match self.esb {
                    Esb::Data => json!({ "data": body }),
                    Esb::Hosts => json!({ "data": body, "bk_host_id": body["bk_host_id"] }),
                    Esb::Flat | Esb::Get | Esb::None => body.clone(),
                };
                if let Some(whole) = whole.as_object_mut() {
                    // A value in the body wins, so that it can be anything.
                    for (name, value) in vars {
                        whole.entry(name).or_insert_with(|| value.clone());
                    }
                }
                if self.esb == Esb::Get {
                    ("GET", path, query, vec![], None)
                } else {
                    ("POST", path, String::new(), vec![], Some(whole))
                }
            }
            Access::Gateway => {
                let who = json!({"bk_app_code": "app", "bk_app_secret": "s", "bk_username": "amy"});
                let path = format!("/api/bk-cmdb/prod/api/v3{}", fill(self.gateway));
                (
                    self.method,
                    path,
                    String::new(),
                    vec![header("x-bkapi-authorization", &who.to_string())],
                    Some(body.clone()),
                )
            }
            Access::Direct => {
                let who = vec![header("bk_user", "amy"), header("http_bk_supplier_account", "0")];
                (self.method, format!("/api/v3{}", fill(self.direct)), String::new(), who, Some(body.clone()))
            }
        };
        let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        Some(Request { method: method.to_owned(), path, query, headers, body })
    }
}

/// Returns true if an answer has the access's envelope.
pub(crate) fn is_envelope(access: Access, answer: &Value) -> bool {
    let (code, message) = match access {
        Access::Esb | Access::Gateway => ("code", "message"),
        Access::Direct => ("bk_error_code", "bk_error_msg"),
    };
    answer["result"].is_boolean()
        && answer[code].is_i64()
        && answer[message].is_string()
        && (answer["result"] == json!(true)) == (answer[code] == json!(0))
        && answer.get("data").is_some()
        && answer.get("permission").is_some()
        && (access == Access::Esb) == answer["request_id"].is_string()
}
