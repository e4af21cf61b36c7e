//! BlueKing CMDB.

mod api;
mod attribute;
mod catalog;
mod codes;
mod events;
mod kinds;
mod lookup;
mod settings;
mod snapshot_scopes;
mod version;

use std::collections::HashMap;

use version::Version;

use crate::{
    model::{Json, KeyPool, Refusal, Request},
    provider::{
        Endpoint, EventSchema, GivenSettings, Kind, Platform, Prepared, Reply, RequestContext, SettingSpec,
        SettingsProblem, codes::CodeMeaning, scope::ScopeSchema,
    },
};

/// BlueKing CMDB, 3.9 to 3.14.
pub struct BkCmdb;

static KINDS: &[&dyn Kind] = &[
    &kinds::instance::Instance,
    &kinds::service_template::ServiceTemplate,
    &kinds::set::Set,
    &kinds::module::Module,
    &kinds::process_template::ProcessTemplate,
    &kinds::host::Host,
    &kinds::instance_association::InstanceAssociation,
];

/// The searches by rules and the batch creates, of 3.10.
const RULES: &str = "3.10";
/// More than 20 alternatives in a search for instances, of 3.14.
const WIDE: &str = "3.14";
/// The attributes that service templates fix of their modules, of 3.10.18, which neither the ESB nor the gateway shows.
const FIXED: &str = "attributes of service templates";
/// The comparison of modules with their service templates, and the tasks that sync them. The ESB and the gateway may hide
/// either.
const COMPARISON: &str = "comparison of modules with service templates";
const TASKS: &str = "sync of service templates";
/// The operations about such attributes.
const FIXING: &[&str] = &[
    "list_service_template_attribute",
    "create_service_template_all_info",
    "update_service_template_all_info",
    "update_service_template_attribute",
    "delete_service_template_attribute",
];
/// The operations about such tasks.
const SYNC: &[&str] = &["list_service_template_sync_status", "sync_service_template_to_service_instance"];

impl Platform for BkCmdb {
    fn name(&self) -> &'static str {
        "bk-cmdb"
    }

    fn kinds(&self) -> &'static [&'static dyn Kind] {
        KINDS
    }

    fn codes(&self) -> &'static [CodeMeaning] {
        codes::CODES
    }

    fn settings(&self) -> &'static [SettingSpec] {
        settings::SETTINGS
    }

    fn check_settings(&self, given: &GivenSettings<'_>) -> Vec<SettingsProblem> {
        settings::check(given)
    }

    fn fill_settings(&self, settings: &mut HashMap<&'static str, String>, variable: &dyn Fn(&str) -> Option<String>) {
        settings::fill(settings, variable);
    }

    fn operation(&self, name: &str) -> Option<&'static str> {
        api::operation(name)
    }

    fn is_read(&self, operation: &str) -> bool {
        api::is_read(operation)
    }

    fn required_capabilities(
        &self,
        request: &Request,
        settings: &HashMap<&'static str, String>,
    ) -> &'static [&'static str] {
        let version = settings.get("version").and_then(|version| Version::parse(version));
        let is_known = |since: Version| version.is_some_and(|version| version >= since);
        if FIXING.contains(&request.operation) {
            &[FIXED]
        } else if request.operation == "list_service_template_difference" {
            &[COMPARISON]
        } else if SYNC.contains(&request.operation) {
            &[TASKS]
        } else if lookup::is_wide(request) {
            if is_known(Version::V3_14) { &[] } else { &[RULES, WIDE] }
        } else if api::since(request.operation) == Some(Version::V3_10) && !is_known(Version::V3_10) {
            &[RULES]
        } else {
            &[]
        }
    }

    fn proves_missing(&self, thing: &str, refusal: &Refusal) -> bool {
        refusal.is_absent() || (thing == WIDE && lookup::is_too_wide(refusal))
    }

    fn snapshot_scopes(&self) -> Option<&'static dyn ScopeSchema> {
        Some(&snapshot_scopes::Scopes)
    }

    fn events(&self) -> Option<&'static dyn EventSchema> {
        Some(&events::Events)
    }

    fn settings_to_check(&self, endpoint: &Endpoint, refusal: &Refusal) -> Vec<String> {
        if codes::is_bad_account(refusal) {
            let user = endpoint.settings.contains_key("username").then(|| "`auth.username`".to_owned());
            std::iter::once("`auth.appCode`".to_owned()).chain(endpoint.secret_settings()).chain(user).collect()
        } else if codes::is_no_user(refusal) {
            vec!["`auth.username`".to_owned()]
        } else {
            Vec::new()
        }
    }

    fn prepare(&self, request: &Request, endpoint: &Endpoint, stamp: RequestContext<'_>) -> Result<Prepared, Refusal> {
        api::prepare(request, endpoint, stamp)
    }

    fn interpret(&self, request: &Request, reply: &Reply<'_>, keys: &mut KeyPool) -> Result<Json, Refusal> {
        api::interpret(request, reply, keys)
    }
}
