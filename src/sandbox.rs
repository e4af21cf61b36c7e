//! The embedded servers: both platforms on one loopback port, in memory.
//!
//! A [`Sandbox`] holds the simulators and what surrounds them: the list of calls, faults, options. [`Sandbox::start`]
//! serves it; without that it can be used in a process without any network.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::{Map, Value};

pub mod calls;
pub mod clock;
mod control;
pub mod fault;
mod server;
pub mod simulator;
mod wire;

pub use calls::LoggedCall;
pub use server::Running;

use calls::Calls;
use fault::Faults;
use simulator::{Simulator, StateError};

/// Both platforms, embedded. Clones share one state.
#[derive(Clone)]
pub struct Sandbox {
    shared: Arc<Shared>,
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
        Self::of(vec![
            Box::new(crate::platform::bk_cmdb::simulator::Simulator::new()),
            Box::new(crate::platform::roma_connect::simulator::Simulator::new()),
        ])
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
    /// Several files, each with the section of one platform, may follow one another. Nothing changes when a section is
    /// unknown; of several sections those before the first wrong one are taken over. The pointers of the mistakes begin
    /// with the platform's name.
    pub fn load(&self, state: &Value) -> Result<(), Vec<StateError>> {
        let mistake = |pointer: String, message: &str| vec![StateError { pointer, message: message.to_owned() }];
        let Some(sections) = state.as_object() else {
            return Err(mistake(String::new(), "expected an object with a section for each platform"));
        };
        let mut parts = Vec::new();
        for (name, section) in sections {
            match self.shared.simulators.iter().find(|simulator| simulator.platform() == name) {
                Some(simulator) => parts.push((simulator, section)),
                None => return Err(mistake(format!("/{name}"), "there is no such platform")),
            }
        }
        for (simulator, section) in parts {
            simulator.load(section).map_err(|mistakes| {
                let name = simulator.platform();
                let named =
                    |mistake: StateError| StateError { pointer: format!("/{name}{}", mistake.pointer), ..mistake };
                mistakes.into_iter().map(named).collect::<Vec<_>>()
            })?;
        }
        Ok(())
    }

    /// Returns the whole state of all platforms, such that loading it again changes nothing.
    pub fn state(&self) -> Value {
        let sections = self.shared.simulators.iter();
        Value::Object(sections.map(|simulator| (simulator.platform().to_owned(), simulator.state())).collect())
    }

    /// Returns the calls that the platforms got, in the order in which they were answered.
    pub fn calls(&self) -> Vec<LoggedCall> {
        lock(&self.shared.calls).all()
    }

    /// Returns how often each operation was called.
    pub fn call_counts(&self) -> std::collections::BTreeMap<String, u64> {
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

    /// Returns every option: `{name: {"value": …, "values": […]}}`.
    pub fn options(&self) -> Map<String, Value> {
        let latency = lock(&self.shared.latency).as_millis();
        let mut options: Map<String, Value> =
            self.shared.simulators.iter().flat_map(|simulator| simulator.options()).collect();
        let own = serde_json::json!({"value": u64::try_from(latency).unwrap_or(u64::MAX), "values": "milliseconds"});
        options.insert("latency".to_owned(), own);
        options
    }

    /// Sets an option of every platform that has it.
    pub fn set_option(&self, name: &str, value: &Value) -> Result<(), String> {
        let mut known = false;
        if name == "latency" {
            let millis = value.as_u64().ok_or("expected milliseconds, a whole number")?;
            *lock(&self.shared.latency) = Duration::from_millis(millis);
            known = true;
        }
        for simulator in &self.shared.simulators {
            known |= simulator.set_option(name, value)?;
        }
        if known { Ok(()) } else { Err("there is no such option".to_owned()) }
    }

    /// Serves the sandbox on an address; port 0 picks a free one.
    pub async fn start(&self, listen: SocketAddr) -> io::Result<Running> {
        server::start(self.clone(), listen).await
    }
}

/// Locks what no panic leaves half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
