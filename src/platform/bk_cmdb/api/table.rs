//! The operations with their methods and paths (contract section 2).

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

use crate::{
    model::Refusal,
    platform::bk_cmdb::version::Version,
    provider::Method::{self, Delete, Post, Put},
};

/// The characters that stay as they are in a path.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'-').remove(b'.').remove(b'~');

/// How the ESB takes an operation (contract section 1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Component {
    /// Not at all.
    None,
    /// As a flat body.
    Flat,
    /// With the attributes in `data`.
    Data,
    /// By GET, with the arguments in the query.
    Get,
}

/// One operation.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) name: &'static str,
    /// It changes nothing.
    pub(super) reads: bool,
    /// Method at the gateway and the server.
    pub(super) method: Method,
    /// Path below `/api/v3` at the server; arguments named in braces go into it.
    path: &'static str,
    /// Path at the gateway, where it is another.
    gateway: Option<&'static str>,
    pub(super) component: Component,
    /// Neither the ESB nor the gateway offers it.
    pub(super) only_direct: bool,
    /// The version that it came with, after 3.9.
    pub(super) since: Option<Version>,
}

const fn read(name: &'static str, path: &'static str) -> Operation {
    Operation { reads: true, ..write(name, Post, path) }
}

const fn write(name: &'static str, method: Method, path: &'static str) -> Operation {
    Operation {
        name,
        reads: false,
        method,
        path,
        gateway: None,
        component: Component::Flat,
        only_direct: false,
        since: None,
    }
}

impl Operation {
    const fn component(mut self, component: Component) -> Self {
        self.component = component;
        self
    }

    const fn gateway(mut self, path: &'static str) -> Self {
        self.gateway = Some(path);
        self
    }

    const fn only_direct(mut self) -> Self {
        self.component = Component::None;
        self.only_direct = true;
        self
    }

    const fn since_3_10(mut self) -> Self {
        self.since = Some(Version::V3_10);
        self
    }

    const fn get(mut self) -> Self {
        self.method = Method::Get;
        self.component = Component::Get;
        self
    }

    /// Returns true if all that its path names is among the arguments.
    fn fits(&self, arguments: &Map<String, Value>) -> bool {
        names(self.path).all(|name| name == ACCOUNT || arguments.contains_key(name))
    }

    /// Returns the path at the server or the gateway. What it names is taken out of the arguments.
    pub(super) fn path(
        &self,
        gateway: bool,
        account: &str,
        arguments: &mut Map<String, Value>,
    ) -> Result<String, Refusal> {
        let path = if gateway { self.gateway.unwrap_or(self.path) } else { self.path };
        let segments: Result<Vec<Cow<'_, str>>, Refusal> = path
            .split('/')
            .map(|segment| {
                let Some(name) = placeholder(segment) else { return Ok(segment.into()) };
                let value = match arguments.remove(name) {
                    None | Some(Value::Null) if name == ACCOUNT => account.to_owned(),
                    Some(Value::String(text)) if !text.is_empty() => text,
                    Some(Value::Number(number)) => number.to_string(),
                    _ => return Err(Refusal::new(None, format!("`{}` needs `{name}`", self.name))),
                };
                Ok(utf8_percent_encode(&value, KEPT).to_string().into())
            })
            .collect();
        Ok(segments?.join("/"))
    }
}

/// The placeholder that the target's setting fills.
const ACCOUNT: &str = "bk_supplier_account";

fn placeholder(segment: &str) -> Option<&str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(placeholder)
}

/// All operations that are used. Of several with one name the first fits whose path has all its arguments.
static OPERATIONS: &[Operation] = &[
    read("search_business", "/biz/search/{bk_supplier_account}"),
    read("search_set", "/set/search/{bk_supplier_account}/{bk_biz_id}"),
    read("find_set_batch", "/findmany/set/bk_biz_id/{bk_biz_id}"),
    read("search_module", "/module/search/{bk_supplier_account}/{bk_biz_id}/{bk_set_id}"),
    read("find_module_batch", "/findmany/module/bk_biz_id/{bk_biz_id}"),
    read("find_module_with_relation", "/findmany/module/with_relation/biz/{bk_biz_id}"),
    read("get_biz_internal_module", "/topo/internal/{bk_supplier_account}/{bk_biz_id}").get(),
    write("create_service_template", Post, "/create/proc/service_template"),
    write("update_service_template", Put, "/update/proc/service_template"),
    write("delete_service_template", Delete, "/delete/proc/service_template"),
    write("create_set", Post, "/set/{bk_biz_id}").component(Component::Data),
    write("update_set", Put, "/set/{bk_biz_id}/{bk_set_id}").component(Component::Data),
    write("delete_set", Delete, "/set/{bk_biz_id}/{bk_set_id}"),
    write("create_module", Post, "/module/{bk_biz_id}/{bk_set_id}").component(Component::Data),
    write("update_module", Put, "/module/{bk_biz_id}/{bk_set_id}/{bk_module_id}").component(Component::Data),
    write("delete_module", Delete, "/module/{bk_biz_id}/{bk_set_id}/{bk_module_id}"),
    read("search_inst_by_object", "/inst/search/{bk_supplier_account}/{bk_obj_id}")
        .gateway("/inst/search/owner/{bk_supplier_account}/object/{bk_obj_id}"),
    read("search_object_instances", "/search/instances/object/{bk_obj_id}").since_3_10(),
    read("count_object_instances", "/count/instances/object/{bk_obj_id}").since_3_10(),
    write("create_inst", Post, "/create/instance/object/{bk_obj_id}"),
    write("batch_create_inst", Post, "/createmany/instance/object/{bk_obj_id}").since_3_10(),
    write("update_inst", Put, "/update/instance/object/{bk_obj_id}/inst/{bk_inst_id}"),
    write("batch_update_inst", Put, "/updatemany/instance/object/{bk_obj_id}"),
    write("delete_inst", Delete, "/delete/instance/object/{bk_obj_id}/inst/{bk_inst_id}"),
    write("batch_delete_inst", Delete, "/deletemany/instance/object/{bk_obj_id}"),
    read("search_objects", "/find/object"),
    read("search_object_attribute", "/find/objectattr"),
    read("search_object_unique", "/find/objectunique/object/{bk_obj_id}").component(Component::None),
    read("find_object_association", "/find/objectassociation"),
    read("find_instance_association", "/find/instassociation"),
    read("search_instance_associations", "/search/instance_associations/object/{bk_obj_id}").since_3_10(),
    read("count_instance_associations", "/count/instance_associations/object/{bk_obj_id}").since_3_10(),
    read("search_related_inst_asso", "/find/instassociation/related"),
    write("add_instance_association", Post, "/create/instassociation"),
    write("batch_create_instance_association", Post, "/createmany/instassociation").since_3_10(),
    write("delete_instance_association", Delete, "/delete/instassociation/{bk_obj_id}/{id}").since_3_10(),
    // Up to 3.9 all rows lay in one table (contract section 4.3).
    write("delete_instance_association", Delete, "/delete/instassociation/{id}"),
    write("delete_related_inst_asso", Delete, "/delete/instassociation/batch"),
    read("list_proc_template", "/findmany/proc/proc_template"),
    read("get_proc_template", "/find/proc/proc_template/id/{process_template_id}"),
    write("batch_create_proc_template", Post, "/createmany/proc/proc_template"),
    write("update_proc_template", Put, "/update/proc/proc_template"),
    write("delete_proc_template", Delete, "/deletemany/proc/proc_template"),
    read("list_service_template", "/findmany/proc/service_template"),
    read("get_service_template", "/find/proc/service_template/{service_template_id}").get(),
    // They came with 3.10.18.
    read("list_service_template_attribute", "/findmany/proc/service_template/attribute").only_direct().since_3_10(),
    write("create_service_template_all_info", Post, "/create/proc/service_template/all_info")
        .only_direct()
        .since_3_10(),
    write("update_service_template_all_info", Put, "/update/proc/service_template/all_info").only_direct().since_3_10(),
    write("update_service_template_attribute", Put, "/update/proc/service_template/attribute")
        .only_direct()
        .since_3_10(),
    write("delete_service_template_attribute", Delete, "/delete/proc/service_template/attribute")
        .only_direct()
        .since_3_10(),
    // They came with 3.9.26 and 3.10.1; the tasks with 3.9.36 and 3.10.10. The ESB and the gateway may hide them.
    read("list_service_template_difference", "/findmany/proc/service_template/sync_status/biz/{bk_biz_id}"),
    read("list_service_template_sync_status", "/findmany/proc/service_template_sync_status/bk_biz_id/{bk_biz_id}")
        .since_3_10(),
    write("sync_service_template_to_service_instance", Put, "/update/proc/service_instance/sync").since_3_10(),
    read("list_service_category", "/findmany/proc/service_category"),
    read("list_service_instance", "/findmany/proc/service_instance"),
    read("list_service_instance_detail", "/findmany/proc/service_instance/details"),
    read("list_hosts_without_biz", "/hosts/list_hosts_without_app"),
    write("batch_update_host", Put, "/hosts/property/batch"),
    write("transfer_host_module", Post, "/hosts/modules"),
    write("transfer_host_to_idlemodule", Post, "/hosts/modules/idle"),
    write("transfer_host_to_faultmodule", Post, "/hosts/modules/fault"),
    write("transfer_host_to_recyclemodule", Post, "/hosts/modules/recycle"),
    read("list_biz_hosts", "/hosts/app/{bk_biz_id}/list_hosts"),
    read("find_host_topo_relation", "/host/topo/relation/read"),
    read("resource_watch", "/event/watch/resource/{bk_resource}"),
    read("list_operation_audit", "/findmany/audit_list"),
    read("find_audit_by_id", "/find/audit"),
    read("find_inst_audit", "/find/inst_audit").component(Component::None),
];

/// Returns the name of an operation as this table spells it.
pub(in crate::platform::bk_cmdb) fn operation(name: &str) -> Option<&'static str> {
    OPERATIONS.iter().map(|operation| operation.name).find(|known| *known == name)
}

/// Returns true if an operation only reads.
pub(in crate::platform::bk_cmdb) fn is_read(name: &str) -> bool {
    OPERATIONS.iter().any(|operation| operation.name == name && operation.reads)
}

/// Returns the version that an operation came with, where it is later than 3.9.
pub(in crate::platform::bk_cmdb) fn since(name: &str) -> Option<Version> {
    OPERATIONS.iter().filter(|operation| operation.name == name).map(|operation| operation.since).min().flatten()
}

/// Finds the operation of a request on a server of a version, where that is known.
pub(super) fn find(
    name: &str,
    arguments: &Map<String, Value>,
    version: Option<Version>,
) -> Result<&'static Operation, Refusal> {
    let named = || OPERATIONS.iter().filter(|operation| operation.name == name);
    let is_there = |operation: &&Operation| version.is_none_or(|version| operation.since <= Some(version));
    let found = named().filter(is_there).find(|operation| operation.fits(arguments));
    found.or_else(|| named().find(is_there)).ok_or_else(|| Refusal::absent(name, "it came with a later version"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    #[test]
    fn arguments_go_into_the_path() {
        let check = |name: &str, arguments: Value, gateway: bool, version: Option<&str>, expected: &str| {
            let Value::Object(mut arguments) = arguments else { unreachable!("an object") };
            let told = find(name, &arguments, version.and_then(Version::parse)).and_then(|operation| {
                Ok(format!("{} {}", operation.method.as_str(), operation.path(gateway, "0", &mut arguments)?))
            });
            let told = told.map_or_else(
                |refusal| refusal.to_string(),
                |path| if arguments.is_empty() { path } else { format!("{path} {}", Value::Object(arguments)) },
            );
            assert_eq!(told, expected);
        };
        check("search_business", json!({}), false, None, "POST /biz/search/0");
        check("search_business", json!({"bk_supplier_account": "tencent"}), true, None, "POST /biz/search/tencent");
        check(
            "search_set",
            json!({"bk_biz_id": 3, "fields": []}),
            false,
            None,
            r#"POST /set/search/0/3 {"fields":[]}"#,
        );
        check("search_inst_by_object", json!({"bk_obj_id": "m"}), false, None, "POST /inst/search/0/m");
        check("search_inst_by_object", json!({"bk_obj_id": "m"}), true, None, "POST /inst/search/owner/0/object/m");
        check(
            "delete_inst",
            json!({"bk_obj_id": "a/b?", "bk_inst_id": 7}),
            false,
            None,
            "DELETE /delete/instance/object/a%2Fb%3F/inst/7",
        );
        check("update_inst", json!({"bk_obj_id": "m"}), false, None, "`update_inst` needs `bk_inst_id`");
        let row = json!({"bk_obj_id": "m", "id": 5});
        check("delete_instance_association", row.clone(), false, None, "DELETE /delete/instassociation/m/5");
        check(
            "delete_instance_association",
            row,
            false,
            Some("3.9"),
            r#"DELETE /delete/instassociation/5 {"bk_obj_id":"m"}"#,
        );
        check("delete_instance_association", json!({"id": 5}), false, None, "DELETE /delete/instassociation/5");
        check(
            "search_object_instances",
            json!({"bk_obj_id": "m"}),
            false,
            Some("3.9.9"),
            "the server has no operation `search_object_instances`: it came with a later version (code absent)",
        );
        check(
            "search_object_instances",
            json!({"bk_obj_id": "m"}),
            false,
            Some("3.10"),
            "POST /search/instances/object/m",
        );
        check(
            "no_such",
            json!({}),
            true,
            None,
            "the server has no operation `no_such`: it came with a later version (code absent)",
        );
    }

    #[test]
    fn names_tell_operations_apart() {
        let names: BTreeSet<_> = OPERATIONS.iter().map(|operation| operation.name).collect();
        assert_eq!(names.len() + 1, OPERATIONS.len());
        assert!(is_read("get_biz_internal_module") && is_read("list_proc_template"));
        assert!(!is_read("delete_inst") && !is_read("no_such"));
        assert_eq!(since("batch_create_inst"), Some(Version::V3_10));
        assert_eq!(since("delete_instance_association"), None);
    }
}
