//! The floor of the measurements: the fewest calls that the same work needs, and what surrounds it.
//!
//! - `floor files DIR …` writes the manifests.
//! - `floor serve …` answers as both platforms would, from memory.
//! - `floor run …` does the work with the fewest calls, over ten connections, without manifests and without a plan.
//! - `floor measure` starts commands, and says what each cost.

mod client;
mod files;
mod http;
mod measure;
mod serve;
mod world;

use std::{env, error::Error, process::ExitCode};

type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

/// The flags behind a command, each `--name value`.
struct Flags(Vec<String>);

impl Flags {
    fn text(&self, name: &str) -> Option<&str> {
        let at = self.0.iter().position(|word| word.strip_prefix("--") == Some(name))?;
        self.0.get(at + 1).map(String::as_str)
    }

    fn number(&self, name: &str, default: usize) -> Result<usize> {
        self.text(name).map_or(Ok(default), |text| Ok(text.parse().map_err(|error| format!("--{name}: {error}"))?))
    }

    fn kind(&self) -> Result<world::Kind> {
        match self.text("kind") {
            Some("apps") => Ok(world::Kind::Apps),
            Some("instances") => Ok(world::Kind::Instances),
            other => Err(format!("--kind is apps or instances, not {other:?}").into()),
        }
    }
}

fn run(mut words: Vec<String>) -> Result<()> {
    let command = if words.is_empty() { String::new() } else { words.remove(0) };
    let flags = Flags(words);
    match command.as_str() {
        "files" => files::write(&flags),
        "serve" => serve::serve(&flags),
        "run" => client::run(&flags),
        "measure" => measure::measure(),
        _ => Err("a command is missing: files, serve, run or measure".into()),
    }
}

fn main() -> ExitCode {
    match run(env::args().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("floor: {error}");
            ExitCode::FAILURE
        }
    }
}
