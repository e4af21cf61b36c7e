//! The settings of a target of ROMA Connect.

use crate::provider::{
    GivenSettings, SettingSpec, SettingsProblem,
    settings::{Format, TIME_ZONE},
};

/// The settings. Without `auth` all credentials come from the environment ([`super::credentials`]).
pub(super) static SETTINGS: &[SettingSpec] = &[
    SettingSpec::new(
        "region",
        Format::Checked {
            wanted: "a region such as cn-north-4",
            fits: |region| {
                region.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            },
        },
        "The region, instead of `endpoint`",
    )
    .locating(),
    SettingSpec::new(
        "endpoint",
        Format::Address { example: "https://roma.cn-north-4.myhuaweicloud.com", paths: &["/v2/"] },
        "The root of the API, instead of `region`",
    )
    .locating(),
    SettingSpec::new("projectId", Format::Text, "The project, that of the token by default").locating(),
    SettingSpec::new("instanceId", Format::Text, "The instance").required().locating(),
    SettingSpec::new("timeZone", TIME_ZONE, "The time zone in which times are shown").shared(),
    SettingSpec::new("auth", Format::Section, "The credentials, those of the environment by default"),
    SettingSpec::new("auth.token", Format::Secret, "A token that IAM has granted"),
    SettingSpec::new("auth.ak", Format::Secret, "The access key"),
    SettingSpec::new("auth.sk", Format::Secret, "The secret key of the access key"),
    SettingSpec::new("auth.securityToken", Format::Secret, "The security token of a temporary access key"),
    SettingSpec::new("auth.credentialsFile", Format::File, "A file of the SDKs with an access key"),
    SettingSpec::new("auth.iam", Format::Section, "A user who logs in to IAM"),
    SettingSpec::new("auth.iam.user", Format::Text, "The user's name"),
    SettingSpec::new("auth.iam.userId", Format::Text, "The user's id, instead of the name"),
    SettingSpec::new("auth.iam.domain", Format::Text, "The name of the account"),
    SettingSpec::new("auth.iam.domainId", Format::Text, "The id of the account, instead of its name"),
    SettingSpec::new("auth.iam.project", Format::Text, "The name of the project, instead of `projectId`"),
    SettingSpec::new(
        "auth.iam.endpoint",
        Format::Address { example: "https://iam.cn-north-4.myhuaweicloud.com", paths: &[] },
        "The root of IAM, that of the region by default",
    )
    .named("iamEndpoint"),
    SettingSpec::new("auth.iam.password", Format::Secret, "The user's password").required(),
    SettingSpec::new("auth.iam.totp", Format::Secret, "The one-time password of a second factor"),
];

/// Returns what is wrong with the place and the credentials.
pub(super) fn check(given: &GivenSettings<'_>) -> Vec<SettingsProblem> {
    let (region, endpoint) = (given.has("region"), given.has("endpoint"));
    let mut problems = Vec::new();
    let mut problem = |section, message: String| problems.push(SettingsProblem { message, section });
    // Without `auth` all of it may come from the environment.
    if region == endpoint && (region || given.has("auth")) {
        problem("", format!("target {} needs exactly one of `region` and `endpoint`", given.target));
    }
    if given.has_section("auth") {
        let has = |key: &str| given.has(&format!("auth.{key}"));
        let needs = "needs exactly one of `token`, `ak` with `sk`, `iam` and `credentialsFile`";
        if has("ak") != has("sk") || (has("securityToken") && !has("ak")) {
            problem("auth", format!("auth of target {} {needs}: `ak` and `sk` go together", given.target));
        }
        let ways = ["token", "ak", "iam", "credentialsFile"].iter().filter(|key| has(key)).count();
        if ways != 1 && !has("sk") {
            problem("auth", format!("auth of target {} {needs}", given.target));
        }
    }
    if let Some(lacks) = given.has_section("auth.iam").then(|| lacks(given)).flatten() {
        problem("auth.iam", format!("auth.iam of target {} needs {lacks}", given.target));
    }
    problems
}

/// Returns what a login of a user lacks.
fn lacks(given: &GivenSettings<'_>) -> Option<&'static str> {
    let has = |key: &str| given.has(&format!("auth.iam.{key}"));
    if !has("user") && !has("userId") {
        Some("`user` or `userId`")
    } else if !has("userId") && !has("domain") && !has("domainId") {
        Some("`domain`, the name of the account, beside `user`")
    } else if has("totp") && !has("userId") {
        Some("`userId` beside `totp`")
    } else {
        None
    }
}
