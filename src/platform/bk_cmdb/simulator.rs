//! BlueKing CMDB's simulator: a stateful server in memory, written from the vendor's documents and from recordings of
//! bk-cmdb 3.14.8-beta1.
//!
//! It shares nothing with the client's kinds, so that both sides cannot agree on the same mistake. Section numbers in
//! this module are those of the project's contract for BlueKing CMDB.

use std::sync::{
    PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
    atomic::{AtomicU64, Ordering},
};

use jiff::Timestamp;
use serde_json::Value;

use crate::sandbox::simulator::{Answer, Arrival, Record, Simulator as Platform, StateError};

mod args;
mod association;
mod association_read;
mod attribute;
mod audit;
mod built_in;
mod call;
mod definition;
mod door;
mod filter;
mod instance;
mod instance_write;
mod load;
mod module;
mod moment;
mod operation;
mod page;
mod process;
mod property;
mod raw;
mod refusal;
mod row;
mod rule;
mod save;
mod service;
mod set;
mod table;
mod topology;
mod world;

use door::{Admitted, Keys};
use operation::Run;
use refusal::{Outcome, Refusal};
use world::World;

/// The simulator of BlueKing CMDB.
#[derive(Debug)]
pub struct Simulator {
    world: RwLock<World>,
    requests: AtomicU64,
}

impl Default for Simulator {
    fn default() -> Self {
        Self::new()
    }
}

impl Simulator {
    /// Returns a simulator without any object.
    pub fn new() -> Self {
        Self { world: RwLock::new(World::new()), requests: AtomicU64::new(0) }
    }

    /// A write that panicked has not committed, so that the state is whole.
    fn read(&self) -> RwLockReadGuard<'_, World> {
        self.world.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, World> {
        self.world.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request id for requests that bring none.
    fn rid(&self) -> String {
        format!("cc0000{:026x}", self.requests.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn run(&self, admitted: &Admitted) -> Outcome {
        if admitted.foreign {
            return Self::run_on(&mut World::new(), admitted);
        }
        match admitted.operation.run {
            Run::Read(read) => {
                let world = self.read();
                read(&world, &world.tables, &admitted.call)
            }
            Run::Records(read) => read(&self.read(), &admitted.call),
            Run::Write(_) => Self::run_on(&mut self.write(), admitted),
            Run::Watch => Err(Refusal::unknown()),
        }
    }

    fn run_on(world: &mut World, admitted: &Admitted) -> Outcome {
        match admitted.operation.run {
            Run::Read(read) => read(world, &world.tables, &admitted.call),
            Run::Records(read) => read(world, &admitted.call),
            Run::Write(write) => {
                world.begin(Timestamp::now());
                let outcome = write(world, &admitted.call);
                if outcome.is_ok() {
                    world.commit()
                } else {
                    world.roll_back()
                }
                outcome
            }
            Run::Watch => Err(Refusal::unknown()),
        }
    }
}

impl Platform for Simulator {
    fn platform(&self) -> &'static str {
        "bk-cmdb"
    }

    fn serves(&self, path: &str) -> bool {
        path.starts_with("/api/")
    }

    fn answer(&self, arrival: &Arrival) -> Answer {
        let rid = self.rid();
        let admitted = {
            let world = self.read();
            let keys = Keys { credentials: &world.credentials, version: world.version, rid: rid.clone() };
            door::admit(arrival, &keys)
        };
        let door = door::name(door::envelope(&arrival.path));
        match admitted {
            Err(turned) => {
                let operation = turned.operation;
                let record = Record {
                    door,
                    operation: operation.map_or("", |operation| operation.name).to_owned(),
                    write: operation.is_some_and(operation::Operation::writes),
                    code: turned.code.clone(),
                    body: Value::Null,
                };
                Answer { record, ..door::turned(turned, &rid) }
            }
            Ok(admitted) => {
                let outcome = self.run(&admitted);
                let write = admitted.operation.writes();
                let record = Record {
                    door,
                    operation: admitted.operation.name.to_owned(),
                    write,
                    code: door::code(&outcome),
                    body: if write { admitted.note } else { Value::Null },
                };
                Answer { record, ..door::answer(outcome, admitted.envelope, &admitted.call.rid) }
            }
        }
    }

    fn load(&self, state: &Value) -> Result<(), Vec<StateError>> {
        let version = self.read().version;
        let fresh = load::load(state, Timestamp::now(), version)?;
        *self.write() = fresh;
        Ok(())
    }

    fn state(&self) -> Value {
        save::save(&self.read())
    }
}
