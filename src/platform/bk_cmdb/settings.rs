//! The settings of a target of BlueKing CMDB.

use std::collections::HashMap;

use crate::provider::{
    GivenSettings, SettingSpec, SettingsProblem,
    settings::{Format, TIME_ZONE},
};

/// The languages in which BlueKing names what is built in.
const LANGUAGES: [&str; 2] = ["en", "zh-cn"];

/// The settings. The server itself believes the name of a user, so that direct access needs nothing else.
pub(super) static SETTINGS: &[SettingSpec] = &[
    SettingSpec::new(
        "access",
        Format::OneOf(&["esb", "gateway", "direct"]),
        "The way in: ESB, API gateway or the server itself",
    )
    .required(),
    SettingSpec::new(
        "endpoint",
        Format::Address { example: "https://paas.example.com", paths: &["/api/v3", "/api/c/", "/api/bk-cmdb"] },
        "The root of the access, without the path of the API",
    )
    .required()
    .locating(),
    SettingSpec::new(
        "stage",
        Format::Checked {
            wanted: "a stage such as prod",
            fits: |stage| stage.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)),
        },
        "The stage of the API gateway, prod by default",
    ),
    SettingSpec::new("supplierAccount", Format::Text, "The supplier account, 0 by default").locating(),
    SettingSpec::new(
        "version",
        Format::Checked { wanted: "a version from 3.9 on, such as 3.14", fits: is_supported },
        "The version of the server, found out by default",
    ),
    SettingSpec::new("timeZone", TIME_ZONE, "The time zone of the server's times"),
    SettingSpec::new(
        "language",
        Format::Checked { wanted: "en or zh-cn", fits: |language| LANGUAGES.contains(&language) },
        "The language of what is built in, that of the locale by default",
    ),
    SettingSpec::new("auth", Format::Section, "The credentials").required(),
    SettingSpec::new("auth.username", Format::Text, "The user").required().when("access", "direct"),
    SettingSpec::new("auth.appCode", Format::Text, "The application, of no use here").when("access", "direct"),
    SettingSpec::new("auth.appSecret", Format::UnusedSecret, "The application's secret, of no use here")
        .when("access", "direct"),
    SettingSpec::new("auth.appCode", Format::Text, "The application").required().unless("access", "direct"),
    SettingSpec::new("auth.appSecret", Format::Secret, "The application's secret")
        .required()
        .unless("access", "direct"),
    SettingSpec::new("auth.username", Format::Text, "The user, for an application that is trusted with names")
        .unless("access", "direct"),
    SettingSpec::new("auth.token", Format::Secret, "The user's token, for any other application")
        .unless("access", "direct"),
    SettingSpec::new("auth.in", Format::OneOf(&["body", "header"]), "Where the credentials are sent")
        .unless("access", "direct"),
];

/// Returns what is wrong with the credentials.
pub(super) fn check(given: &GivenSettings<'_>) -> Vec<SettingsProblem> {
    let is_one = given.has("auth.username") != given.has("auth.token");
    if is_one || given.is("access", "direct") || !given.has_section("auth") {
        return Vec::new();
    }
    let message = format!("auth of target {} needs exactly one of `username` and `token`", given.target);
    vec![SettingsProblem { message, section: "auth" }]
}

/// Asks in the language of the locale where none is set.
pub(super) fn fill(settings: &mut HashMap<&'static str, String>, variable: &dyn Fn(&str) -> Option<String>) {
    settings.entry("language").or_insert_with(|| language(variable).to_owned());
}

/// Returns the language of a locale, as its environment variables name it: the first that says something.
fn language(variable: &dyn Fn(&str) -> Option<String>) -> &'static str {
    let locale =
        ["LC_ALL", "LC_MESSAGES", "LANG"].iter().find_map(|name| variable(name).filter(|text| !text.is_empty()));
    if locale.is_some_and(|locale| locale.starts_with("zh")) { LANGUAGES[1] } else { LANGUAGES[0] }
}

/// Returns true if a text is a version of BlueKing CMDB that can be talked to.
fn is_supported(text: &str) -> bool {
    let mut numbers = text.split(['.', '-']).map(str::parse::<u32>);
    numbers.next() == Some(Ok(3)) && matches!(numbers.next(), Some(Ok(9..)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_that_of_the_locale() {
        let check = |set: &[(&str, &str)], expected: &str| {
            let variable = |name: &str| Some(set.iter().find(|(key, _)| *key == name)?.1.to_owned());
            assert_eq!(language(&variable), expected, "{set:?}");
        };
        check(&[], "en");
        check(&[("LANG", "zh_CN.UTF-8")], "zh-cn");
        check(&[("LANG", "zh_CN.UTF-8"), ("LC_ALL", "C")], "en");
        check(&[("LANG", "de_DE.UTF-8"), ("LC_MESSAGES", "zh_CN")], "zh-cn");
        check(&[("LANG", "zh_CN.UTF-8"), ("LC_ALL", "")], "zh-cn");
    }
}
