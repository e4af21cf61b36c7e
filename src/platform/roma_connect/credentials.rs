//! Credentials of Huawei Cloud that a configuration leaves out: from the environment, by the names that the vendor's
//! SDKs and its Terraform provider use, else from the SDKs' file.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::provider::{Environment, SettingValues};

/// The names of one family of tools, each list in its order.
struct Family {
    token: Option<&'static str>,
    key: (&'static str, &'static str),
    security_token: Option<&'static str>,
    user: &'static [(&'static str, &'static str)],
    password: Option<&'static str>,
}

/// The first family that has anything decides.
const FAMILIES: [Family; 3] = [
    Family {
        token: None,
        key: ("HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK"),
        security_token: Some("HUAWEICLOUD_SDK_SECURITY_TOKEN"),
        user: &[],
        password: None,
    },
    Family {
        token: Some("HW_AUTH_TOKEN"),
        key: ("HW_ACCESS_KEY", "HW_SECRET_KEY"),
        security_token: Some("HW_SECURITY_TOKEN"),
        user: &[("userId", "HW_USER_ID"), ("user", "HW_USER_NAME")],
        password: Some("HW_USER_PASSWORD"),
    },
    Family {
        token: Some("OS_AUTH_TOKEN"),
        key: ("OS_ACCESS_KEY", "OS_SECRET_KEY"),
        security_token: None,
        user: &[("userId", "OS_USER_ID"), ("user", "OS_USERNAME")],
        password: Some("OS_PASSWORD"),
    },
];

/// Settings and their names, in the order in which they count.
const SETTINGS: &[(&str, &[&str])] = &[
    ("projectId", &["HUAWEICLOUD_SDK_PROJECT_ID", "HW_PROJECT_ID", "OS_PROJECT_ID", "OS_TENANT_ID"]),
    ("project", &["HW_PROJECT_NAME", "OS_PROJECT_NAME", "OS_TENANT_NAME"]),
    ("domain", &["HW_DOMAIN_NAME", "OS_DOMAIN_NAME", "OS_USER_DOMAIN_NAME", "OS_PROJECT_DOMAIN_NAME"]),
    (
        "domainId",
        &["HUAWEICLOUD_SDK_DOMAIN_ID", "HW_DOMAIN_ID", "OS_DOMAIN_ID", "OS_USER_DOMAIN_ID", "OS_PROJECT_DOMAIN_ID"],
    ),
    ("region", &["HW_REGION_NAME", "OS_REGION_NAME"]),
    ("iamEndpoint", &["HUAWEICLOUD_SDK_IAM_ENDPOINT", "HW_AUTH_URL", "OS_AUTH_URL"]),
    ("cloud", &["HW_CLOUD"]),
];

/// The file of the SDKs below the home directory.
const FILE: &str = ".huaweicloud/credentials";

/// Adds the credentials that a target leaves out.
pub(super) fn fill(values: &mut SettingValues, environment: Environment<'_>) -> Result<(), String> {
    let variable = |name: &str| (environment.variable)(name).filter(|value| !value.is_empty());
    let file = |path: &Path| (environment.read)(path).map_err(|error| unreadable(path, &error));
    if let Some(path) = values.settings.remove("credentialsFile").map(PathBuf::from) {
        return from_file(values, &path, &file(&path)?);
    }
    if ["token", "ak", "password"].iter().any(|key| values.secrets.contains_key(key)) {
        return Ok(());
    }
    let mut found = false;
    for family in &FAMILIES {
        if take(family, values, &variable)? {
            found = true;
            break;
        }
    }
    for (key, names) in SETTINGS {
        let has_place = *key == "region" && values.settings.contains_key("endpoint");
        if !values.settings.contains_key(key)
            && !has_place
            && let Some(value) = names.iter().find_map(|name| variable(name))
        {
            values.settings.insert(key, value);
        }
    }
    if found {
        return Ok(());
    }
    if let Some(path) = variable("HUAWEICLOUD_SDK_CREDENTIALS_FILE").map(PathBuf::from) {
        return from_file(values, &path, &file(&path)?);
    }
    let Some(path) = variable("HOME").map(|home| PathBuf::from(home).join(FILE)) else { return Err(nowhere()) };
    match (environment.read)(&path) {
        Ok(text) => from_file(values, &path, &text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(nowhere()),
        Err(error) => Err(unreadable(&path, &error)),
    }
}

fn nowhere() -> String {
    "`auth` is left out, and neither HUAWEICLOUD_SDK_AK, HW_* and OS_* nor ~/.huaweicloud/credentials has any"
        .to_owned()
}

fn unreadable(path: &Path, error: &io::Error) -> String {
    format!("cannot read {}: {error}", path.display())
}

/// Takes the credentials of one family: a token, else an access key, else a password. A half of a pair is a mistake.
fn take(
    family: &Family,
    values: &mut SettingValues,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<bool, String> {
    if let Some(token) = family.token.and_then(variable) {
        values.secrets.insert("token", token.into());
        return Ok(true);
    }
    // Half of a pair of environment variables.
    let half = |set: &str, missing: &str| {
        Err(format!("the environment variable {set} is set, but not {missing}, which belongs to it"))
    };
    let (access, secret) = family.key;
    match (variable(access), variable(secret)) {
        (Some(ak), Some(sk)) => {
            values.secrets.extend([("ak", ak.into()), ("sk", sk.into())]);
            if let Some(token) = family.security_token.and_then(variable) {
                values.secrets.insert("securityToken", token.into());
            }
            return Ok(true);
        }
        (Some(_), None) => return half(access, secret),
        (None, Some(_)) => return half(secret, access),
        (None, None) => {}
    }
    let user = family.user.iter().find_map(|(key, name)| Some((*key, *name, variable(name)?)));
    match (user, family.password.and_then(|name| Some((name, variable(name)?)))) {
        (Some((key, _, user)), Some((_, password))) => {
            values.settings.insert(key, user);
            values.secrets.insert("password", password.into());
            Ok(true)
        }
        (Some((_, name, _)), None) => half(name, family.password.unwrap_or_default()),
        (None, Some((name, _))) => half(name, family.user.last().map_or("", |(_, name)| name)),
        (None, None) => Ok(false),
    }
}

/// Takes the credentials of the SDKs' file: INI, of which the section `[basic]` counts.
fn from_file(values: &mut SettingValues, path: &Path, text: &str) -> Result<(), String> {
    let mut inside = false;
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            inside = name.trim() == "basic";
        } else if let Some((key, value)) = line.split_once('=').filter(|(_, value)| inside && !value.trim().is_empty())
        {
            let value = value.trim().to_owned();
            match key.trim() {
                "ak" => drop(values.secrets.insert("ak", value.into())),
                "sk" => drop(values.secrets.insert("sk", value.into())),
                "security_token" => drop(values.secrets.insert("securityToken", value.into())),
                "project_id" => drop(values.settings.entry("projectId").or_insert(value)),
                "iam_endpoint" => drop(values.settings.entry("iamEndpoint").or_insert(value)),
                _ => {}
            }
        }
    }
    let lacks = ["ak", "sk"].into_iter().find(|key| !values.secrets.contains_key(key));
    lacks.map_or(Ok(()), |key| Err(format!("{} has no `{key}` in its section [basic]", path.display())))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs};

    use secrecy::ExposeSecret;

    use super::*;

    fn check(variables: &[(&str, &str)], expected: &str) {
        let mut values = SettingValues::default();
        values.settings.insert("instanceId", "i1".to_owned());
        let variable =
            |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        let told = match fill(&mut values, Environment { variable: &variable, read: &|path| fs::read_to_string(path) })
        {
            Ok(()) => {
                let secrets = values.secrets.iter().map(|(key, value)| (*key, value.expose_secret().to_owned()));
                let all: BTreeMap<_, _> = secrets.chain(values.settings).collect();
                all.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
            }
            Err(problem) => problem,
        };
        assert_eq!(told, expected, "{variables:?}");
    }

    #[test]
    fn the_first_family_counts() {
        check(
            &[
                ("HUAWEICLOUD_SDK_AK", "a1"),
                ("HUAWEICLOUD_SDK_SK", "s1"),
                ("HUAWEICLOUD_SDK_SECURITY_TOKEN", "t1"),
                ("HW_ACCESS_KEY", "half of a pair that does not count"),
                ("HW_PROJECT_ID", "p2"),
                ("OS_PROJECT_ID", "p3"),
            ],
            "ak=a1 instanceId=i1 projectId=p2 securityToken=t1 sk=s1",
        );
        check(
            &[("HW_ACCESS_KEY", "a2"), ("HW_SECRET_KEY", "s2"), ("HUAWEICLOUD_SDK_AK", ""), ("HW_REGION_NAME", "r")],
            "ak=a2 instanceId=i1 region=r sk=s2",
        );
        check(
            &[("OS_USERNAME", "u"), ("OS_PASSWORD", "p"), ("OS_DOMAIN_NAME", "d"), ("OS_AUTH_URL", "https://iam/v3")],
            "domain=d iamEndpoint=https://iam/v3 instanceId=i1 password=p user=u",
        );
        check(&[("HW_AUTH_TOKEN", "t"), ("HW_ACCESS_KEY", "a")], "instanceId=i1 token=t");
    }

    #[test]
    fn half_a_pair_is_a_mistake() {
        let half = |set: &str, missing: &str| {
            check(
                &[(set, "x"), ("OS_ACCESS_KEY", "a"), ("OS_SECRET_KEY", "s")],
                &format!("the environment variable {set} is set, but not {missing}, which belongs to it"),
            );
        };
        half("HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK");
        half("HUAWEICLOUD_SDK_SK", "HUAWEICLOUD_SDK_AK");
        half("HW_SECRET_KEY", "HW_ACCESS_KEY");
        half("HW_USER_NAME", "HW_USER_PASSWORD");
        half("HW_USER_PASSWORD", "HW_USER_NAME");
        check(
            &[],
            "`auth` is left out, and neither HUAWEICLOUD_SDK_AK, HW_* and OS_* nor ~/.huaweicloud/credentials has any",
        );
    }

    #[test]
    fn files_of_the_sdks() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("credentials");
        let path = file.display().to_string();
        let text =
            "[global]\nak = no\n[basic]\n# a comment\nak = a\nsk=s=1\nproject_id = p\niam_endpoint=https://iam\n";
        fs::write(&file, text).expect("written");
        check(
            &[("HUAWEICLOUD_SDK_CREDENTIALS_FILE", &path)],
            "ak=a iamEndpoint=https://iam instanceId=i1 projectId=p sk=s=1",
        );
        fs::write(&file, "[basic]\nak = a\n").expect("written");
        check(&[("HUAWEICLOUD_SDK_CREDENTIALS_FILE", &path)], &format!("{path} has no `sk` in its section [basic]"));
    }
}
