//! The keys of a target of ROMA Connect.

use super::{Reader, is_root};
use crate::{
    config::source::{self, Setting},
    diagnostic::Diagnostic,
    source::Located,
    yaml::{self, Node, Section},
};

impl Reader<'_> {
    pub(super) fn roma_connect(&mut self, section: &Section<'_, '_>) {
        self.setting(section, "", "region");
        self.check("region", "a region such as cn-north-4", |region| {
            region.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        });
        self.setting(section, "", "endpoint");
        self.check_endpoint("https://roma.cn-north-4.myhuaweicloud.com");
        let has = |key: &str| section.node().get(key).is_some();
        // Without `auth` all of it may come from the environment.
        if has("region") == has("endpoint") && (has("region") || has("auth")) {
            let message = format!("target {} needs exactly one of `region` and `endpoint`", self.target.name);
            self.diagnostics.push(Diagnostic::error("C005", message, &self.target.origin));
        }
        // Left out, it is that of the token, or found by its name.
        self.setting(section, "", "projectId");
        self.required(section, "", "instanceId");
        self.time_zone(section);
        if !has("auth") {
            return;
        }
        let Some(auth) = self.auth(section) else { return };
        for key in ["token", "ak", "sk", "securityToken"] {
            if let Some(node) = auth.get(key) {
                self.secret(node, "auth.", key);
            }
        }
        let given = |key: &str| auth.node().get(key).is_some();
        if given("ak") != given("sk") || (given("securityToken") && !given("ak")) {
            self.needs_one(&auth, "`token`, `ak` with `sk`, `iam` and `credentialsFile`: `ak` and `sk` go together");
        }
        if let Some(node) = auth.get("credentialsFile")
            && let Some(path) = yaml::text(node, "auth.credentialsFile", self.diagnostics)
        {
            let path = Setting::Literal(self.directory.join(path).display().to_string());
            self.target.settings.insert("credentialsFile", Located::new(path, node.origin.clone()));
        }
        if let Some(node) = auth.get("iam") {
            self.iam(node);
        }
        let ways = ["token", "ak", "iam", "credentialsFile"].iter().filter(|key| given(key)).count();
        if ways != 1 && !given("sk") {
            self.needs_one(&auth, "`token`, `ak` with `sk`, `iam` and `credentialsFile`");
        }
        auth.finish(self.diagnostics);
    }

    fn iam(&mut self, node: &Node<'_>) {
        let Some(iam) = Section::open(node, "auth.iam", self.diagnostics) else { return };
        for (key, name) in [
            ("user", "user"),
            ("userId", "userId"),
            ("domain", "domain"),
            ("domainId", "domainId"),
            ("project", "project"),
            ("endpoint", "iamEndpoint"),
        ] {
            let Some(node) = iam.get(key) else { continue };
            let what = format!("auth.iam.{key}");
            if let Some(setting) = source::setting(node, &what, self.directory, self.diagnostics) {
                self.target.settings.insert(name, Located::new(setting, node.origin.clone()));
            }
        }
        if let Some(node) = iam.require("password", self.diagnostics) {
            self.secret(node, "auth.iam.", "password");
        }
        if let Some(node) = iam.get("totp") {
            self.secret(node, "auth.iam.", "totp");
        }
        self.check("iamEndpoint", "an address such as https://iam.cn-north-4.myhuaweicloud.com", is_root);
        let given = |key: &str| iam.node().get(key).is_some();
        let lacks = if !given("user") && !given("userId") {
            Some("`user` or `userId`")
        } else if !given("userId") && !given("domain") && !given("domainId") {
            Some("`domain`, the name of the account, beside `user`")
        } else if given("totp") && !given("userId") {
            Some("`userId` beside `totp`")
        } else {
            None
        };
        if let Some(lacks) = lacks {
            let message = format!("auth.iam of target {} needs {lacks}", self.target.name);
            self.diagnostics.push(Diagnostic::error("C005", message, iam.origin()));
        }
        iam.finish(self.diagnostics);
    }
}
