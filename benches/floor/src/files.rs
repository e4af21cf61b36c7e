//! Writes the manifests: what the world is to be like, and where it is.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use crate::{
    Flags, Result,
    world::{self, ATTRIBUTES, Kind},
};

/// Documents of a file.
const PER_FILE: usize = 250;

pub(crate) fn write(flags: &Flags) -> Result<()> {
    let directory = PathBuf::from(flags.text("into").ok_or("--into is missing")?);
    let (kind, count, models) = (flags.kind()?, flags.number("n", 1000)?, flags.number("models", 1)?);
    let ensure = if flags.text("ensure") == Some("present") { "  ensure: present\n" } else { "" };
    fs::create_dir_all(&directory)?;
    for (file, first) in (0..count).step_by(PER_FILE).enumerate() {
        let mut text = String::new();
        for number in first..count.min(first + PER_FILE) {
            document(&mut text, kind, number, models, ensure)?;
        }
        fs::write(directory.join(format!("{file:04}.yaml")), text)?;
    }
    configuration(&directory, flags)
}

fn document(text: &mut String, kind: Kind, number: usize, models: usize, ensure: &str) -> Result<()> {
    let name = world::name(kind, number);
    if !text.is_empty() {
        text.push_str("---\n");
    }
    if kind == Kind::Apps {
        let remark = world::declared(kind, number);
        write!(
            text,
            "apiVersion: roma-connect/v1\nkind: App\nmetadata: {{name: {name}}}\nspec:\n{ensure}  app: {name}\n  fields:\n    remark: \"{remark}\"\n"
        )?;
        return Ok(());
    }
    let model = world::model(number, models);
    write!(
        text,
        "apiVersion: bk-cmdb/v1\nkind: Instance\nmetadata:\n  name: {name}\n  labels: {{site: sz}}\nspec:\n{ensure}  model: {model}\n  match: {{bk_inst_name: {name}}}\n  fields:\n"
    )?;
    for attribute in ATTRIBUTES {
        writeln!(text, "    {attribute}: {}", world::attribute(number, attribute))?;
    }
    Ok(())
}

fn configuration(directory: &Path, flags: &Flags) -> Result<()> {
    let Some(endpoint) = flags.text("endpoint") else { return Ok(()) };
    let target = match flags.kind()? {
        Kind::Apps => format!(
            "  roma: {{platform: roma-connect, endpoint: \"{endpoint}\", projectId: p1, instanceId: i1, auth: {{token: {{env: FLOOR_SECRET}}}}}}\n"
        ),
        Kind::Instances => format!(
            "  cmdb: {{platform: bk-cmdb, access: esb, endpoint: \"{endpoint}\", auth: {{appCode: floor, appSecret: {{env: FLOOR_SECRET}}, username: admin}}}}\n"
        ),
    };
    let text = format!("apiVersion: reconcile/v1\nkind: Config\ntargets:\n{target}safety: {{maxChanges: 100%}}\n");
    Ok(fs::write(directory.join("reconcile.yaml"), text)?)
}
