//! The embedded servers: both platforms on one loopback port, in memory.
//!
//! A [`Sandbox`] holds the simulators and what surrounds them: the list of calls, faults, options. [`Sandbox::start`]
//! serves it; without that it can be used in a process without any network.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::{Map, Value, json};

pub mod bk_cmdb;
pub mod calls;
pub mod clock;
mod control;
mod exchange;
pub mod fault;
pub mod roma_connect;
mod server;
pub mod simulator;
mod wire;

pub use calls::LoggedCall;
pub use exchange::Delivery;
pub use server::Running;

use calls::Calls;
use fault::Faults;
use simulator::{Cells, GuestAccess, Listing, Simulator, StateError};

/// Both platforms, embedded. Clones share one state.
#[derive(Clone)]
pub struct Sandbox {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sandbox").finish_non_exhaustive()
    }
}

struct Shared {
    simulators: Vec<Box<dyn Simulator>>,
    calls: Mutex<Calls>,
    faults: Mutex<Faults>,
    latency: Mutex<Duration>,
}

impl Default for Sandbox {
    fn default() -> Self {
        Self::new()
    }
}

impl Sandbox {
    /// Returns a sandbox with the simulators of all platforms, each without any object.
    pub fn new() -> Self {
        Self::of(vec![Box::new(bk_cmdb::Simulator::new()), Box::new(roma_connect::Simulator::new())])
    }

    /// Returns a sandbox with some simulators.
    pub fn of(simulators: Vec<Box<dyn Simulator>>) -> Self {
        Self {
            shared: Arc::new(Shared {
                simulators,
                calls: Mutex::default(),
                faults: Mutex::default(),
                latency: Mutex::default(),
            }),
        }
    }

    /// Replaces the state of the platforms that a state file names; calls, faults and options stay.
    ///
    /// Nothing changes when anything is wrong. The pointers of the mistakes begin with the platform's name. Calls, events
    /// and audit records are no part of a state: events and audit records begin anew with it.
    pub fn load(&self, state: &Value) -> Result<(), Vec<StateError>> {
        let Some(sections) = state.as_object() else {
            return Err(mistake(String::new(), "expected an object with a section for each platform"));
        };
        let (mut ready, mut mistakes) = (Vec::new(), Vec::new());
        for (name, section) in sections {
            match self.platform(name).and_then(|simulator| simulator.prepare(section)) {
                Ok(replace) => ready.push(replace),
                Err(errors) => mistakes.extend(below(name, errors)),
            }
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        ready.into_iter().for_each(|replace| replace());
        Ok(())
    }

    fn platform(&self, name: &str) -> Result<&dyn Simulator, Vec<StateError>> {
        let found = self.shared.simulators.iter().find(|simulator| simulator.platform() == name);
        found.map(AsRef::as_ref).ok_or_else(|| mistake(String::new(), "there is no such platform"))
    }

    /// Returns the whole state of all platforms, such that loading it again changes nothing.
    pub fn state(&self) -> Value {
        let sections = self.shared.simulators.iter();
        Value::Object(sections.map(|simulator| (simulator.platform().to_owned(), simulator.state())).collect())
    }

    /// Returns another sandbox with the same state, and nothing else of this one: no faults, options and calls.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self::of(self.shared.simulators.iter().map(|simulator| simulator.fork()).collect())
    }

    /// Returns what clients can change, cell by cell, for comparisons: without times and authors, and with a name in
    /// place of each id that was given out after the state `since`.
    pub fn cells(&self, since: &Value) -> Cells {
        let of = |simulator: &dyn Simulator| {
            let platform = simulator.platform();
            let cells = simulator.cells(&since[platform]).into_iter();
            cells.map(move |(name, value)| (format!("{platform}/{name}"), value))
        };
        self.shared.simulators.iter().map(AsRef::as_ref).flat_map(of).collect()
    }

    /// Returns one of these cells.
    pub fn cell(&self, name: &str, since: &Value) -> Option<Value> {
        let (platform, name) = name.split_once('/')?;
        self.platform(platform).ok()?.cell(name, &since[platform])
    }

    /// Changes a field of an object as somebody else would; `pick` picks which, and `keep` names fields that are not to
    /// be changed. Returns false if there is none.
    pub fn disturb(&self, pick: &mut fastrand::Rng, keep: &BTreeSet<String>) -> bool {
        let count = self.shared.simulators.len();
        let first = pick.usize(..count.max(1));
        (0..count).any(|at| self.shared.simulators[(first + at) % count].disturb(pick, keep))
    }

    /// Returns a state with one platform's section that answers reads as listings say.
    ///
    /// `settings` are those of a client that are not secret. What was not listed is not in it.
    pub fn listed(
        &self,
        platform: &str,
        listings: &[Listing],
        settings: &BTreeMap<String, String>,
    ) -> Result<Value, Vec<StateError>> {
        let section = self.platform(platform)?.listed(listings, settings);
        Ok(Value::Object(Map::from_iter([(platform.to_owned(), section)])))
    }

    /// Adds a guest to a state where it asks for credentials, and returns true if it does.
    pub fn admit(&self, state: &mut Value, guest: &str) -> bool {
        let before = state.clone();
        for simulator in &self.shared.simulators {
            if let Some(section) = state.get_mut(simulator.platform()) {
                simulator.admit(section, guest);
            }
        }
        *state != before
    }

    /// Returns what leads a guest to a platform of this sandbox; `given` returns the settings that its configuration
    /// spells out, `state` is what was loaded.
    pub fn guest_access(
        &self,
        platform: &str,
        state: &Value,
        given: &dyn Fn(&str) -> Option<String>,
        guest: &str,
    ) -> GuestAccess {
        let simulator = self.platform(platform).ok();
        simulator.map(|simulator| simulator.guest_access(&state[platform], given, guest)).unwrap_or_default()
    }

    /// Returns the calls that the platforms got, in the order in which they were answered.
    pub fn calls(&self) -> Vec<LoggedCall> {
        lock(&self.shared.calls).all()
    }

    /// Returns how often each operation was called.
    pub fn call_counts(&self) -> BTreeMap<String, u64> {
        lock(&self.shared.calls).counts()
    }

    /// Forgets the calls.
    pub fn clear_calls(&self) {
        lock(&self.shared.calls).clear();
    }

    /// Puts faults in force instead of those before; the form is that of `PUT /_sandbox/faults`.
    pub fn set_faults(&self, faults: &Value) -> Result<(), Vec<StateError>> {
        *lock(&self.shared.faults) = Faults::of(faults)?;
        Ok(())
    }

    /// Returns every option: `{name: {"value": …, "values": …}}`. What several platforms have, such as the clock, is
    /// there once.
    pub fn options(&self) -> Map<String, Value> {
        let latency = lock(&self.shared.latency).as_millis();
        let mut options: Map<String, Value> =
            self.shared.simulators.iter().flat_map(|simulator| simulator.options()).collect();
        let own = json!({"value": u64::try_from(latency).unwrap_or(u64::MAX), "values": "milliseconds"});
        options.insert("latency".to_owned(), own);
        let sections = self.shared.simulators.iter();
        let credentials: Map<String, Value> =
            sections.map(|simulator| (simulator.platform().to_owned(), simulator.credentials())).collect();
        let own = json!({"value": credentials, "values": "an object by platform, as a state has them"});
        options.insert("credentials".to_owned(), own);
        options
    }

    /// Sets some options of every platform that has them, or reports every mistake and changes none.
    ///
    /// Hyphens and underscores in names are the same. `credentials` are by platform, as in a state.
    pub fn set_options(&self, changes: &Map<String, Value>) -> Result<(), Vec<StateError>> {
        let before = self.options();
        let mut mistakes = Vec::new();
        for (name, value) in changes {
            let named = |error: StateError| StateError { pointer: format!("/{name}{}", error.pointer), ..error };
            mistakes.extend(self.set(name, value).err().unwrap_or_default().into_iter().map(named));
        }
        if mistakes.is_empty() {
            return Ok(());
        }
        for (name, option) in &before {
            if changes.keys().any(|changed| same_option(changed, name)) {
                // An option can have its old value again.
                let _ = self.set(name, &option["value"]);
            }
        }
        Err(mistakes)
    }

    /// Sets one option of every platform that has it.
    pub fn set_option(&self, name: &str, value: &Value) -> Result<(), String> {
        let first =
            |mistakes: Vec<StateError>| mistakes.into_iter().next().map(|error| error.message).unwrap_or_default();
        self.set_options(&Map::from_iter([(name.to_owned(), value.clone())])).map_err(first)
    }

    fn set(&self, name: &str, value: &Value) -> Result<(), Vec<StateError>> {
        match name {
            "latency" => {
                let millis = value.as_u64();
                let millis = millis.ok_or_else(|| mistake(String::new(), "expected milliseconds, a whole number"))?;
                *lock(&self.shared.latency) = Duration::from_millis(millis);
                return Ok(());
            }
            "credentials" => {
                let expected = || mistake(String::new(), "expected an object of credentials by platform");
                let mut mistakes = Vec::new();
                for (platform, section) in value.as_object().ok_or_else(expected)? {
                    let set = self.platform(platform).and_then(|simulator| simulator.set_credentials(section));
                    mistakes.extend(below(platform, set.err().unwrap_or_default()));
                }
                return if mistakes.is_empty() { Ok(()) } else { Err(mistakes) };
            }
            _ => {}
        }
        let mut known = false;
        for simulator in &self.shared.simulators {
            let spelled = simulator.options().into_iter().map(|(own, _)| own).find(|own| same_option(own, name));
            let Some(spelled) = spelled else { continue };
            let set = simulator.set_option(&spelled, value);
            known |= set.map_err(|message| mistake(String::new(), &message))?;
        }
        if known { Ok(()) } else { Err(mistake(String::new(), "there is no such option")) }
    }

    /// Serves the sandbox on an address; port 0 picks a free one.
    pub async fn start(&self, listen: SocketAddr) -> io::Result<Running> {
        server::start(self.clone(), listen).await
    }
}

fn mistake(pointer: String, message: &str) -> Vec<StateError> {
    vec![StateError { pointer, message: message.to_owned() }]
}

/// Puts the name of a part in front of the pointers of mistakes in it.
fn below(name: &str, mistakes: Vec<StateError>) -> impl Iterator<Item = StateError> {
    mistakes.into_iter().map(move |mistake| StateError { pointer: format!("/{name}{}", mistake.pointer), ..mistake })
}

fn same_option(text: &str, other: &str) -> bool {
    text.replace('_', "-") == other.replace('_', "-")
}

/// Locks what no panic leaves half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
