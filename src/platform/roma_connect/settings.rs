//! The settings of a target of ROMA Connect.

use crate::provider::{
    GivenSettings, SettingSpec, SettingsProblem,
    settings::{Format, Role, TIME_ZONE},
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
        "such as `cn-north-4`; the address follows from it",
    )
    .roles(&[Role::Locates]),
    SettingSpec::new(
        "endpoint",
        Format::Address { example: "https://roma.cn-north-4.myhuaweicloud.com", paths: &["/v2/"] },
        "the address, instead of `region`",
    )
    .roles(&[Role::Locates]),
    SettingSpec::new(
        "projectId",
        Format::Text,
        "the project; by default that of the token, or the one with the region's name",
    )
    .roles(&[Role::Locates, Role::Identifies]),
    SettingSpec::new("instanceId", Format::Text, "the ROMA instance; a document can name another one by `instance`")
        .required()
        .roles(&[Role::Locates, Role::ShapesPlans]),
    SettingSpec::new("auth", Format::Section, "the credentials, below"),
    SettingSpec::new("timeZone", TIME_ZONE, "the zone in which times are shown; by default that of the other targets")
        .roles(&[Role::Shared]),
    SettingSpec::new("auth.ak", Format::Secret, "a reference to an access key"),
    SettingSpec::new("auth.sk", Format::Secret, "a reference to the secret of the access key"),
    SettingSpec::new("auth.securityToken", Format::Secret, "a reference to the token of a temporary access key"),
    SettingSpec::new("auth.token", Format::Secret, "a reference to a ready token"),
    SettingSpec::new("auth.iam", Format::Section, "a login, below"),
    SettingSpec::new(
        "auth.credentialsFile",
        Format::File,
        "a file with `ak`, `sk`, `project_id` in the section `[basic]`",
    ),
    SettingSpec::new("auth.iam.user", Format::Text, "the IAM user, by name"),
    SettingSpec::new("auth.iam.userId", Format::Text, "the IAM user, by id"),
    SettingSpec::new("auth.iam.domain", Format::Text, "the account of the user, by name"),
    SettingSpec::new("auth.iam.domainId", Format::Text, "the account of the user, by id"),
    SettingSpec::new("auth.iam.password", Format::Secret, "a reference to the password").required(),
    SettingSpec::new(
        "auth.iam.totp",
        Format::Secret,
        "a reference to the code of a virtual MFA device; it needs `userId`",
    ),
    SettingSpec::new(
        "auth.iam.project",
        Format::Text,
        "the project by name, or by an id of 32 hexadecimal digits; by default `projectId`, else that of the region",
    ),
    SettingSpec::new(
        "auth.iam.endpoint",
        Format::Address { example: "https://iam.cn-north-4.myhuaweicloud.com", paths: &[] },
        "the address of IAM; by default that of the region",
    )
    .named("iamEndpoint"),
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
