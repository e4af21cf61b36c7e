//! The interface of a platform.

use std::{collections::HashMap, fmt};

use super::{
    ConcurrencyGroup, CredentialStatus, Endpoint, Environment, EventSchema, GivenSettings, Kind, LockedKey, Login,
    LoginResult, Prepared, Reply, RequestContext, SettingSpec, SettingValues, SettingsProblem, codes::CodeMeaning,
    scope, settings::Role,
};
use crate::model::{Json, KeyPool, Refusal, Request};

/// A platform: a family of kinds behind one API.
pub trait Platform: Sync {
    /// Returns its name as `reconcile.yaml` and `apiVersion` spell it, such as `bk-cmdb`.
    fn name(&self) -> &'static str;

    /// Returns its kinds, those first that others refer to.
    fn kinds(&self) -> &'static [&'static dyn Kind];

    /// Returns its kind of a name.
    fn kind(&self, name: &str) -> Option<&'static dyn Kind> {
        self.kinds().iter().copied().find(|kind| kind.name() == name)
    }

    /// Returns the meanings of its codes and of HTTP statuses, as its interpreter reads them.
    fn codes(&self) -> &'static [CodeMeaning] {
        &[]
    }

    /// Returns the settings of its targets beside those that targets of all platforms have.
    fn settings(&self) -> &'static [SettingSpec] {
        &[]
    }

    /// Returns the names of the settings with a role.
    fn settings_of(&self, role: Role) -> Vec<&'static str> {
        self.settings().iter().filter(|spec| spec.has_role(role)).map(|spec| spec.name).collect()
    }

    /// Returns what is wrong with several settings of a target together.
    fn check_settings(&self, _given: &GivenSettings<'_>) -> Vec<SettingsProblem> {
        Vec::new()
    }

    /// Puts what the environment says in place of settings that are left out.
    fn fill_settings(&self, _settings: &mut HashMap<&'static str, String>, _variable: &dyn Fn(&str) -> Option<String>) {
    }

    /// Adds the credentials that a target leaves out, from where other tools of the platform find them.
    fn fill_credentials(&self, _values: &mut SettingValues, _environment: Environment<'_>) -> Result<(), String> {
        Ok(())
    }

    /// Returns the root of the access, without a slash at its end, from the settings of a target; `None` if they do not
    /// say.
    fn url(&self, settings: &HashMap<&'static str, String>) -> Option<String> {
        settings.get("endpoint").cloned()
    }

    /// Returns the platform's own spelling of an operation that was read from a file; `None` if it has no such
    /// operation.
    fn operation(&self, name: &str) -> Option<&'static str>;

    /// Returns true if an operation only reads. The HTTP method does not tell: most reads are `POST`.
    fn is_read(&self, operation: &str) -> bool;

    /// Names what of a server a request rests on that older ones lack, the oldest thing first; nothing for most requests.
    /// A few of the requests that rest on the same thing are sent first: where one shows that the server lacks it, the
    /// others are refused unsent. Nothing is named that the target's settings tell already, such as its version.
    fn required_capabilities(
        &self,
        _request: &Request,
        _settings: &HashMap<&'static str, String>,
    ) -> &'static [&'static str] {
        &[]
    }

    /// Returns true if a refusal of a request that rests on a thing shows that the server lacks it.
    fn proves_missing(&self, _capability: &str, refusal: &Refusal) -> bool {
        refusal.is_absent()
    }

    /// Returns how its reads are answered from a snapshot; `None` if there are no snapshots of it.
    fn snapshot_scopes(&self) -> Option<&'static dyn scope::ScopeSchema> {
        None
    }

    /// Returns the form of its events; `None` if it tells nobody of changes.
    fn events(&self) -> Option<&'static dyn EventSchema> {
        None
    }

    /// Turns a request into what goes over the wire, through the access of the endpoint.
    fn prepare(&self, request: &Request, endpoint: &Endpoint, stamp: RequestContext<'_>) -> Result<Prepared, Refusal>;

    /// Returns the data of an answer, which shares what it can by `keys`, or why there is none: a platform may say no under
    /// HTTP 200.
    fn interpret(&self, request: &Request, reply: &Reply<'_>, keys: &mut KeyPool) -> Result<Json, Refusal>;

    /// Returns the request that has to be answered before others can be sent; `None` if none has to.
    fn login(&self, _endpoint: &Endpoint, _stamp: RequestContext<'_>) -> Result<Option<Login>, Refusal> {
        Ok(None)
    }

    /// Reads the answer of a login.
    fn login_result(&self, _endpoint: &Endpoint, _reply: &Reply<'_>) -> Result<LoginResult, Refusal> {
        Ok(LoginResult::default())
    }

    /// Says what a refusal means for the credentials.
    fn credential_status(&self, _endpoint: &Endpoint, _refusal: &Refusal) -> CredentialStatus {
        CredentialStatus::Sound
    }

    /// Returns the settings that a refusal points at, such as `auth.appSecret`. None for most refusals.
    fn settings_to_check(&self, _endpoint: &Endpoint, _refusal: &Refusal) -> Vec<String> {
        Vec::new()
    }

    /// Returns the key that the platform locks after some failures, for everybody who uses it. Until such a key has
    /// worked, requests with it are sent one at a time; afterwards fewer at once than would lock it.
    fn locked_key(&self, _endpoint: &Endpoint) -> Option<LockedKey> {
        None
    }

    /// Returns what limits a request; `None` if the target does.
    fn group(&self, _request: &Request) -> Option<ConcurrencyGroup> {
        None
    }
}

impl fmt::Debug for dyn Platform + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl PartialEq for dyn Platform + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}
