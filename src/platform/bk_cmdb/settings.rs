//! The settings of a target of BlueKing CMDB.

use std::collections::HashMap;

use crate::provider::{
    GivenSettings, SettingSpec, SettingsProblem,
    settings::{Format, Role, TIME_ZONE},
};

/// The languages in which BlueKing names what is built in.
const LANGUAGES: [&str; 2] = ["en", "zh-cn"];

/// The settings. The server itself believes the name of a user, so that direct access needs nothing else.
pub(super) static SETTINGS: &[SettingSpec] = &[
    SettingSpec::new("access", Format::OneOf(&["esb", "gateway", "direct"]), "`esb`, `gateway` or `direct`")
        .required()
        .roles(&[Role::ShapesPlans]),
    SettingSpec::new(
        "endpoint",
        Format::Address { example: "https://paas.example.com", paths: &["/api/v3", "/api/c/", "/api/bk-cmdb"] },
        "the root address, without a path",
    )
    .required()
    .roles(&[Role::Locates]),
    SettingSpec::new("auth", Format::Section, "who calls, below").required(),
    SettingSpec::new(
        "stage",
        Format::Checked {
            wanted: "a stage such as prod",
            fits: |stage| stage.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)),
        },
        "the stage of the gateway; `prod` by default",
    ),
    SettingSpec::new("supplierAccount", Format::Text, "`\"0\"` by default").roles(&[Role::Locates, Role::Identifies]),
    SettingSpec::new(
        "version",
        Format::Checked { wanted: "a version from 3.9 on, such as 3.14", fits: is_supported },
        "the server's version, such as `\"3.14\"`. Without it, one refused call finds out that a server is older",
    )
    .roles(&[Role::ShapesPlans]),
    SettingSpec::new("timeZone", TIME_ZONE, "the zone of times that are written without one; `UTC` by default")
        .roles(&[Role::ShapesPlans]),
    SettingSpec::new(
        "language",
        Format::Checked { wanted: "en or zh-cn", fits: |language| LANGUAGES.contains(&language) },
        "`en` or `zh-cn`: how options of built-in models are named; by default that of your locale",
    ),
    SettingSpec::new("auth.appCode", Format::Text, APP_CODE).required().unless("access", "direct"),
    SettingSpec::new("auth.appCode", Format::Text, APP_CODE).when("access", "direct"),
    SettingSpec::new("auth.appSecret", Format::Secret, APP_SECRET).required().unless("access", "direct"),
    SettingSpec::new("auth.appSecret", Format::UnusedSecret, APP_SECRET).when("access", "direct"),
    SettingSpec::new("auth.username", Format::Text, USERNAME).unless("access", "direct"),
    SettingSpec::new("auth.username", Format::Text, USERNAME).required().when("access", "direct"),
    SettingSpec::new("auth.token", Format::Secret, "a reference to a `bk_token`, instead of `username`")
        .unless("access", "direct"),
    SettingSpec::new(
        "auth.in",
        Format::OneOf(&["body", "header"]),
        "through the ESB: `body` (the default) or `header`",
    )
    .unless("access", "direct"),
];

const APP_CODE: &str = "the app code";
const APP_SECRET: &str = "a reference to the app's secret";
const USERNAME: &str = "the user in whose name calls are made";

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
