//! Fetching values from the environment, files and programs. Errors name the key, never the value.

use std::{
    env, fs,
    io::{self, Read},
    path::{Path, PathBuf},
    process::ExitStatus,
    sync::Arc,
    time::Duration,
};

use secrecy::SecretString;

use super::program::{self, MAX_BYTES};
use crate::{
    config::{Config, Setting, Source, Target},
    files,
    provider::{Environment, SettingValues},
};

/// Most bytes of a file that is read to know its secret.
const SECRET: u64 = 64 << 10;

impl Config {
    /// Returns the secrets of all targets that can be had without running a program, so that messages can leave them out.
    /// What cannot be read is left out: it is an error where it is needed.
    pub fn known_secrets(&self) -> Vec<String> {
        let of_targets = self.targets.iter().flat_map(|target| target.secrets.values()).map(|source| &source.value);
        let fetched = of_targets.chain(self.own_secrets()).filter_map(|source| {
            let text = match source {
                Source::Env(name) => env::var(name).ok()?,
                Source::File(path) => String::from_utf8(files::read(path, SECRET).ok()?).ok()?,
                Source::Command(_) => return None,
            };
            Some(text.trim().to_owned())
        });
        fetched.filter(|secret| !secret.is_empty()).collect()
    }
}

impl Source {
    /// Fetches a secret. Programs are run and files read, so call it where that may take its time.
    pub fn secret(&self) -> Result<SecretString, Problem> {
        fetch(self, None).map(SecretString::from)
    }
}

/// A value of a target that could not be fetched. Its caller names the target.
#[derive(Debug, thiserror::Error)]
#[error("cannot get `{key}`")]
pub struct ResolveError {
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
    /// The platform finds no credentials, in its words.
    #[error("{0}")]
    Credentials(String),
    /// The answer is not UTF-8.
    #[error("the value is not UTF-8")]
    Encoding,
    /// Nothing came.
    #[error("the value is empty")]
    Empty,
}

impl Target {
    /// Fetches all values. Programs are run and files read, so call it where that may take its time.
    pub fn resolve(&self) -> Result<SettingValues, ResolveError> {
        let mut values = SettingValues::default();
        for (key, setting) in &self.settings {
            let value = match &setting.value {
                Setting::Literal(text) => text.clone(),
                Setting::From(source) => self.fetch(key, source)?,
            };
            values.settings.insert(key, value);
        }
        for (key, source) in &self.secrets {
            values.secrets.insert(key, self.fetch(key, &source.value)?.into());
        }
        let variable = |name: &str| env::var(name).ok();
        let environment = Environment { variable: &variable, read: &|path| fs::read_to_string(path) };
        self.platform
            .fill_credentials(&mut values, environment)
            .map_err(|problem| ResolveError { key: "auth", source: Problem::Credentials(problem) })?;
        self.platform.fill_settings(&mut values.settings, &variable);
        // Paths are put behind it.
        if let Some(endpoint) = values.settings.get_mut("endpoint") {
            endpoint.truncate(endpoint.trim_end_matches('/').len());
        }
        Ok(values)
    }

    fn fetch(&self, key: &'static str, source: &Source) -> Result<String, ResolveError> {
        fetch(source, Some(&self.name)).map_err(|source| ResolveError { key, source })
    }
}

fn fetch(source: &Source, target: Option<&Arc<str>>) -> Result<String, Problem> {
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
            String::from_utf8(program::output(words, target, program::TIMEOUT)?).map_err(|_| Problem::Encoding)?
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
