//! The vendors' own clients against the sandbox, unchanged.
//!
//! They are Python packages. `.ci/run` installs them into a virtual environment below `target`; `RECONCILE_PYTHON`
//! names another interpreter that has them. Without either the tests say that they skip, and pass.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::Command,
};

use reconcile_sandbox::Sandbox;
use serde_json::{Value, json};

fn state() -> Value {
    json!({
        "bk-cmdb": {
            "businesses": [{"bk_biz_id": 3, "bk_biz_name": "demo"}],
            "sets": [{"bk_set_id": 5, "bk_set_name": "a", "bk_biz_id": 3}],
            "modules": [{"bk_module_id": 7, "bk_module_name": "m", "bk_set_id": 5}],
            "objects": [{"bk_obj_id": "rack"}],
            "attributes": [{"bk_obj_id": "rack", "bk_property_id": "room", "bk_property_type": "singlechar"}],
            "object_associations": [
                {"bk_obj_id": "rack", "bk_asst_id": "next", "bk_asst_obj_id": "rack", "mapping": "n:n"},
            ],
            "instances": {"rack": [{"bk_inst_id": 1, "bk_inst_name": "r1", "room": "a"}]},
            "service_templates": [{"id": 1, "name": "web", "bk_biz_id": 3}],
            "process_templates": [{"id": 1, "service_template_id": 1, "bk_process_name": "nginx"}],
            "credentials": {"apps": {"app": "s1"}, "users": ["admin"]},
        },
        "roma-connect": {
            "projects": [{"id": "p1", "name": "cn-north-4"}],
            "instances": [{"id": "i1", "project_id": "p1"}],
            "credentials": {
                "users": [{"id": "u1", "name": "ops"}, {"id": "u2", "name": "ann"}],
                "ak_sk": {"AKEXAMPLE": "SKEXAMPLE"},
            },
        },
    })
}

/// Returns a Python that has a module, or says why there is none.
fn python(module: &str) -> Result<PathBuf, String> {
    let made = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/interop/bin/python");
    let python = std::env::var_os("RECONCILE_PYTHON").map_or(made, PathBuf::from);
    match Command::new(&python).args(["-c", &format!("import {module}")]).output() {
        Err(error) => Err(format!("{} does not start: {error}", python.display())),
        Ok(output) if !output.status.success() => Err(format!("{} has no module {module}", python.display())),
        Ok(_) => Ok(python),
    }
}

async fn run(script: &str, module: &str) {
    let python = match python(module) {
        Ok(python) => python,
        Err(reason) => {
            assert!(std::env::var_os("CI").is_none(), "in CI every tool has to be there: {script}: {reason}");
            // Past the harness, which shows nothing that a passing test prints.
            let _ = writeln!(io::stderr(), "skipped: {script}: {reason}");
            return;
        }
    };
    let sandbox = Sandbox::new();
    sandbox.load(&state()).expect("the state is fine");
    let running = sandbox.start(([127, 0, 0, 1], 0).into()).await.expect("a free port");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop").join(script);
    let mut command = Command::new(python);
    command.arg(path).arg(format!("http://{}", running.address));
    for proxy in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env_remove(proxy);
    }
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("no panic").expect("Python starts");
    assert!(output.status.success(), "{script}:\n{}", String::from_utf8_lossy(&output.stderr));
    running.shutdown().await.expect("a clean end");
}

#[tokio::test]
async fn official_sdk_for_roma_connect() {
    run("roma_connect.py", "huaweicloudsdkroma").await;
}

#[tokio::test]
async fn component_client_of_blueking() {
    run("bk_cmdb.py", "bkapi_component.open").await;
}
