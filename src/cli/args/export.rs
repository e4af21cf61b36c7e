//! The arguments of `export`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{Network, parse::truth};
use crate::{platform, yaml};

/// How documents are spread over files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Layout {
    /// One file for each object
    Object,
    /// One file for each model, set, service template and so on
    Group,
    /// One file
    One,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ExportArgs {
    /// Kind of the objects; repeats. Of instances and associations exported together, the latter refer to the former
    #[arg(long, value_name = "KIND", required = true, value_delimiter = ',', value_parser = known_kind)]
    pub(in crate::cli) kind: Vec<String>,
    /// Model of instances, or of the sources of associations; repeats
    #[arg(long, value_name = "MODEL", value_delimiter = ',')]
    pub(in crate::cli) model: Vec<String>,
    /// Business by name or id; repeats [default: all]
    #[arg(long, value_name = "NAME|ID", value_delimiter = ',')]
    pub(in crate::cli) business: Vec<String>,
    /// Set of modules by name or id; repeats [default: all]
    #[arg(long, value_name = "NAME|ID", value_delimiter = ',')]
    pub(in crate::cli) set: Vec<String>,
    /// Service template of process templates by name or id; repeats [default: all]
    #[arg(long, value_name = "NAME|ID", value_delimiter = ',')]
    pub(in crate::cli) service_template: Vec<String>,
    /// Association between models; repeats [default: all]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(in crate::cli) association: Vec<String>,
    /// Instance of ROMA Connect whose apps are meant; repeats [default: that of the target]
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub(in crate::cli) app_instance: Vec<String>,
    /// Only objects whose own name fits, such as `core-*`
    #[arg(long, value_name = "PATTERN")]
    pub(in crate::cli) name: Option<String>,
    /// Only objects with this value in a field, such as `status=In use`; repeats, all have to hold
    #[arg(long = "where", value_name = "FIELD=VALUE", value_parser = condition)]
    pub(in crate::cli) conditions: Vec<(String, String)>,
    /// Fields to declare [default: all that can be set and have a value]
    #[arg(long, value_name = "FIELD", value_delimiter = ',')]
    pub(in crate::cli) fields: Option<Vec<String>>,
    /// Also declare what takes reads of its own: `modules` of hosts, `members` of apps; repeats
    #[arg(long = "with", value_name = "KEY", value_delimiter = ',')]
    pub(in crate::cli) parts: Vec<String>,
    /// Targets of the configuration; repeats [default: all of the kinds' platforms]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(in crate::cli) target: Vec<String>,
    /// Read a snapshot instead of the live state: no network, no credentials
    #[arg(long, value_name = "SNAPSHOT", conflicts_with = "sandbox")]
    pub(in crate::cli) from: Option<PathBuf>,
    /// Configuration [default: reconcile.yaml in the current directory or above]
    #[arg(long, value_name = "FILE", env = "RECONCILE_CONFIG")]
    pub(in crate::cli) config: Option<PathBuf>,
    #[command(flatten, next_help_heading = "Connection")]
    pub(in crate::cli) network: Network,
    /// Set a variable of the manifests of --into, as --set of other commands does; repeats
    #[arg(long = "var", value_name = "NAME=VALUE", requires = "into", help_heading = "Manifests of --into")]
    pub(in crate::cli) variables: Vec<String>,
    /// Read variables of the manifests of --into from a YAML file; repeats, later files win
    #[arg(
        long,
        value_name = "FILE",
        env = "RECONCILE_VALUES",
        value_delimiter = ',',
        help_heading = "Manifests of --into"
    )]
    pub(in crate::cli) values: Vec<PathBuf>,
    /// Merge the documents of this directory over those of --into; repeats, later ones win
    #[arg(
        long = "overlay",
        value_name = "DIR",
        env = "RECONCILE_OVERLAY",
        value_delimiter = ',',
        help_heading = "Manifests of --into"
    )]
    pub(in crate::cli) overlays: Vec<PathBuf>,
    /// Follow links in --into wherever they lead; without it only within the git work tree or DIR
    #[arg(
        long,
        env = "RECONCILE_FOLLOW_LINKS",
        value_parser = truth,
        help_heading = "Manifests of --into"
    )]
    pub(in crate::cli) follow_links: bool,
    /// Directory to write the files to; no file that differs is replaced [default: stdout]
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub(in crate::cli) out: Option<PathBuf>,
    /// Directory with manifests to which what none of them declares is added, behind what is most like it
    #[arg(long, value_name = "DIR", conflicts_with = "out", help_heading = "Output")]
    pub(in crate::cli) into: Option<PathBuf>,
    /// How documents are spread over the files of --out, and over those that --into makes
    #[arg(long, value_name = "LAYOUT", default_value = "group", help_heading = "Output")]
    pub(in crate::cli) layout: Layout,
}

fn known_kind(text: &str) -> Result<String, String> {
    let kinds = || platform::ALL.iter().flat_map(|platform| platform.kinds());
    let names = || kinds().filter(|kind| kind.export_keys().is_some()).map(|kind| kind.name());
    if names().any(|name| name == text) {
        return Ok(text.to_owned());
    }
    Err(match yaml::nearest(text, names()) {
        Some(near) => format!("there is no kind `{text}`; did you mean `{near}`?"),
        None => format!("there is no kind `{text}`; there are {}", names().collect::<Vec<_>>().join(", ")),
    })
}

fn condition(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(field, _)| !field.trim().is_empty());
    pair.map(|(field, value)| (field.trim().to_owned(), value.to_owned()))
        .ok_or_else(|| "it is not FIELD=VALUE".to_owned())
}
