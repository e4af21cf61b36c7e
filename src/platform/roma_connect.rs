//! Huawei Cloud ROMA Connect.

mod api;
mod codes;
mod credentials;
mod iam;
mod kinds;
mod list;
mod settings;
mod sign;
mod snapshot_scopes;

use std::collections::HashMap;

use secrecy::ExposeSecret;

use crate::{
    model::{Json, KeyPool, Refusal, Request},
    provider::{
        ConcurrencyGroup, CredentialStatus, Endpoint, Environment, GivenSettings, Kind, LockedKey, Login, LoginResult,
        Platform, Prepared, Reply, RequestContext, SettingSpec, SettingValues, SettingsProblem, codes::CodeMeaning,
        scope::ScopeSchema,
    },
};

/// ROMA Connect: integration applications.
pub struct RomaConnect;

/// Failures in a row that lock an access key for five minutes (contract section 6).
const LOCKED_AFTER: usize = 5;

static KINDS: &[&dyn Kind] = &[&kinds::app::App];

impl Platform for RomaConnect {
    fn name(&self) -> &'static str {
        "roma-connect"
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

    fn fill_credentials(&self, values: &mut SettingValues, environment: Environment<'_>) -> Result<(), String> {
        credentials::fill(values, environment)
    }

    /// An endpoint, or the public one of a region (contract section 7).
    fn url(&self, settings: &HashMap<&'static str, String>) -> Option<String> {
        let cloud = settings.get("cloud").map_or("myhuaweicloud.com", String::as_str);
        let region = settings.get("region").map(|region| format!("https://roma.{region}.{cloud}"));
        settings.get("endpoint").cloned().or(region)
    }

    fn operation(&self, name: &str) -> Option<&'static str> {
        api::operation(name)
    }

    fn is_read(&self, operation: &str) -> bool {
        api::is_read(operation)
    }

    fn snapshot_scopes(&self) -> Option<&'static dyn ScopeSchema> {
        Some(&snapshot_scopes::Scopes)
    }

    fn prepare(&self, request: &Request, endpoint: &Endpoint, stamp: RequestContext<'_>) -> Result<Prepared, Refusal> {
        api::prepare(request, endpoint, stamp)
    }

    fn interpret(&self, request: &Request, reply: &Reply<'_>, keys: &mut KeyPool) -> Result<Json, Refusal> {
        match api::interpret(reply, keys) {
            // What is gone has been removed.
            Err(refusal) if request.operation == "DeleteRomaApp" && codes::is_absent(&refusal) => Ok(Json::NULL),
            told => told,
        }
    }

    fn login(&self, endpoint: &Endpoint, stamp: RequestContext<'_>) -> Result<Option<Login>, Refusal> {
        iam::login(endpoint, stamp)
    }

    fn login_result(&self, endpoint: &Endpoint, reply: &Reply<'_>) -> Result<LoginResult, Refusal> {
        iam::login_result(endpoint, reply)
    }

    fn credential_status(&self, endpoint: &Endpoint, refusal: &Refusal) -> CredentialStatus {
        api::credential_status(endpoint, refusal)
    }

    /// After five failures in a row an access key is locked for five minutes (contract section 6).
    fn settings_to_check(&self, endpoint: &Endpoint, refusal: &Refusal) -> Vec<String> {
        if api::credential_status(endpoint, refusal) == CredentialStatus::Sound {
            Vec::new()
        } else {
            endpoint.secret_settings()
        }
    }

    fn locked_key(&self, endpoint: &Endpoint) -> Option<LockedKey> {
        let name = endpoint.secrets.get("ak")?.expose_secret().to_owned();
        Some(LockedKey { name, failures: LOCKED_AFTER })
    }

    /// Each instance for itself.
    fn group(&self, request: &Request) -> Option<ConcurrencyGroup> {
        let instance = request.arguments["instance_id"].as_str()?;
        Some(ConcurrencyGroup(instance.to_owned()))
    }
}
