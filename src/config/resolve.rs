//! Fetching values from the environment, files and programs. Errors name the target and the key, never the value.

use std::{
    collections::HashMap,
    env, fs,
    io::{self, Read},
    path::{Path, PathBuf},
    process::ExitStatus,
    sync::Arc,
    time::Duration,
};

use secrecy::SecretString;

use super::program::{self, MAX_BYTES};
use crate::config::{Setting, Source, Target};

/// The values of a target, all fetched.
#[derive(Debug, Clone, Default)]
pub struct Resolved {
    /// Settings by their key.
    pub settings: HashMap<&'static str, String>,
    /// Secrets by their key.
    pub secrets: HashMap<&'static str, SecretString>,
}

/// A value that could not be fetched.
#[derive(Debug, thiserror::Error)]
#[error("cannot get `{key}` of target {target}")]
pub struct ResolveError {
    /// The target.
    pub target: Arc<str>,
    /// The key.
    pub key: &'static str,
    /// Why.
    pub source: Problem,
}

/// Why a value could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The environment lacks it.
    #[error("the environment variable {0} is not set")]
    Unset(String),
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The program cannot be run.
    #[error("cannot run {program}: {source}")]
    Run {
        /// The program.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// The program failed.
    #[error("{program} ended with {status}")]
    Failed {
        /// The program.
        program: String,
        /// How it ended.
        status: ExitStatus,
    },
    /// The program did not end.
    #[error("{program} did not end within {limit:?}")]
    Slow {
        /// The program.
        program: String,
        /// The time that it had.
        limit: Duration,
    },
    /// The program prints without end.
    #[error("{0} printed more than 1 MB")]
    Large(String),
    /// Half of a pair of environment variables.
    #[error("the environment variable {set} is set, but not {missing}, which belongs to it")]
    Half {
        /// The one that is set.
        set: String,
        /// The one that is not.
        missing: String,
    },
    /// A file with credentials lacks some.
    #[error("{} has no `{key}` in its section [basic]", path.display())]
    Profile {
        /// The file.
        path: PathBuf,
        /// What it lacks.
        key: &'static str,
    },
    /// There are no credentials anywhere.
    #[error("`auth` is left out, and neither HUAWEICLOUD_SDK_AK, HW_* and OS_* nor ~/.huaweicloud/credentials has any")]
    NoCredentials,
    /// What came is not UTF-8.
    #[error("the value is not UTF-8")]
    Encoding,
    /// Nothing came.
    #[error("the value is empty")]
    Empty,
}

impl Target {
    /// Fetches all values. Programs are run and files read, so call it where that may take its time.
    pub fn resolve(&self) -> Result<Resolved, ResolveError> {
        let mut resolved = Resolved::default();
        for (key, setting) in &self.settings {
            let value = match &setting.value {
                Setting::Literal(text) => text.clone(),
                Setting::From(source) => self.fetch(key, source)?,
            };
            resolved.settings.insert(key, value);
        }
        for (key, source) in &self.secrets {
            resolved.secrets.insert(key, self.fetch(key, &source.value)?.into());
        }
        if self.platform == super::target::ROMA_CONNECT {
            let variable = |name: &str| env::var(name).ok();
            super::huawei::fill(&mut resolved, &variable).map_err(|source| ResolveError {
                target: self.name.clone(),
                key: "auth",
                source,
            })?;
        }
        self.complete(&mut resolved.settings, &|name| env::var(name).ok());
        // Paths are put behind it.
        if let Some(endpoint) = resolved.settings.get_mut("endpoint") {
            endpoint.truncate(endpoint.trim_end_matches('/').len());
        }
        Ok(resolved)
    }

    fn fetch(&self, key: &'static str, source: &Source) -> Result<String, ResolveError> {
        fetch(source).map_err(|source| ResolveError { target: self.name.clone(), key, source })
    }
}

fn fetch(source: &Source) -> Result<String, Problem> {
    let mut value = match source {
        Source::Env(name) => env::var_os(name)
            .ok_or_else(|| Problem::Unset(name.clone()))?
            .into_string()
            .map_err(|_| Problem::Encoding)?,
        Source::File(path) => {
            let bytes = read(path).map_err(|source| Problem::File { path: path.clone(), source })?;
            String::from_utf8(bytes).map_err(|_| Problem::Encoding)?
        }
        Source::Command(words) => {
            String::from_utf8(program::output(words, program::TIMEOUT)?).map_err(|_| Problem::Encoding)?
        }
    };
    // One line break at the end is the editor's, or the program's.
    let end = value.strip_suffix('\n').map_or(value.len(), |rest| rest.strip_suffix('\r').unwrap_or(rest).len());
    value.truncate(end);
    if value.is_empty() { Err(Problem::Empty) } else { Ok(value) }
}

/// Returns the content of a file. A pipe or a device could keep the target waiting for ever, so it is refused.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES { Err(io::Error::other("it is larger than 1 MB")) } else { Ok(bytes) }
}
