//! The journals of runs: who ran what, each call before it is sent, and what became of it.
//!
//! A run has a journal of its own, to which records are only ever added. Each line is bound to those before it, so that
//! what was torn by a kill or edited is seen. Intents are on the disk before their calls leave: a run that was broken off
//! can be settled by reading. Secrets of the configuration are replaced by keyed digests.

pub mod chain;
pub mod directory;
pub mod history;
pub mod lease;
pub mod memory;
mod origin;
pub mod record;
pub mod secret;
pub mod store;

use sha2::{Digest, Sha256};

use crate::plan::file::Setup;

pub use chain::{Integrity, Journal, read};
pub use directory::{Directory, Retention};
pub use origin::{RunOrigin, commit};
pub use record::{Entry, Record, RunRecord, TargetRecord, Verdict};
pub use store::{Clock, Storage, Store, Writer, unfinished};

/// Returns a new id of a run. Ids are in the order of their times.
pub fn run_id(now: jiff::Timestamp) -> String {
    format!("{:013x}{:08x}", now.as_millisecond(), fastrand::u32(..))
}

/// Returns the record of a target: its key tells where it leads to, whatever its name.
pub fn target_record(setup: &Setup) -> TargetRecord {
    let mut sum = Sha256::new().chain_update(setup.platform.as_bytes());
    for (key, digest) in &setup.settings {
        sum.update(format!("\n{key}={digest}"));
    }
    let key = sum.finalize().iter().take(12).fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    TargetRecord { name: setup.target.to_string(), platform: setup.platform.to_string(), key }
}

/// Returns the SHA-256 over manifests with their digests, whatever their order; `None` without any.
pub fn manifests_digest(manifests: &[(String, String)]) -> Option<String> {
    if manifests.is_empty() {
        return None;
    }
    let mut lines: Vec<_> = manifests.iter().map(|(path, digest)| format!("{digest} {path}\n")).collect();
    lines.sort_unstable();
    let sum = Sha256::digest(lines.concat());
    Some(sum.iter().fold(String::with_capacity(64), |text, byte| text + &format!("{byte:02x}")))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs, sync::Arc, time::Duration};

    use jiff::Timestamp;

    use super::{
        record::{ActionCounts, Ended, IntendedChange, Intent, OutcomeRecord},
        *,
    };

    pub(super) fn run_record(run: &str) -> Record {
        Record::Run(Box::new(RunRecord {
            format_version: record::FORMAT_VERSION.to_owned(),
            run: run.to_owned(),
            origin: RunOrigin::here("apply", &[]),
            pid: 7,
            targets: Vec::new(),
            manifests: None,
            plan: None,
            acknowledgement: None,
            acknowledged: false,
            limits: Vec::new(),
            held: Vec::new(),
            override_reason: None,
            file: None,
            counts: ActionCounts::default(),
        }))
    }

    pub(super) fn intent(address: &str) -> Record {
        let objects = vec![IntendedChange {
            address: address.to_owned(),
            precondition: "0".repeat(64),
            fields: vec![record::Field { path: "ports".to_owned(), from: 1.into(), to: 2.into() }],
        }];
        Record::Intent(Intent {
            call: 0,
            attempt: 1,
            target: "cmdb".to_owned(),
            operation: "update_inst".to_owned(),
            body: String::new(),
            objects,
        })
    }

    pub(super) fn outcome(address: &str) -> Record {
        Record::Outcome(OutcomeRecord {
            address: address.to_owned(),
            outcome: "applied".to_owned(),
            detail: None,
            fields: Vec::new(),
            handle: None,
            took_ms: 5,
        })
    }

    fn ended() -> Record {
        Record::Ended(Ended { verdict: Verdict::Converged, outcomes: BTreeMap::new() })
    }

    fn clock() -> Arc<Clock> {
        Arc::new(|| Timestamp::UNIX_EPOCH)
    }

    fn id(hours: u64, number: u32) -> String {
        format!("{:013x}{number:08x}", hours * 3_600_000)
    }

    fn write(store: &dyn Store, run: &str, records: Vec<Record>) {
        let mut writer =
            Writer::create(store, run, &|out| out.write_all(b"{}"), vec![run_record(run)], clock()).expect("a run");
        writer.append(records).and_then(|()| writer.sync()).expect("written");
    }

    #[test]
    fn records_come_back_as_they_were_written() {
        let root = tempfile::tempdir().expect("a directory");
        let store = Directory::new(root.path().join("a/b"));
        let run = id(1, 1);
        write(&store, &run, vec![intent("A/a"), outcome("A/a")]);
        let journal = store.journal(&run).expect("read");
        let records: Vec<_> = journal.entries.iter().map(|entry| entry.record.clone()).collect();
        assert_eq!(records, [run_record(&run), intent("A/a"), outcome("A/a")]);
        assert_eq!(journal.run().map(|record| &record.run), Some(&run));
        assert_eq!(store.plan(&run).expect("read"), b"{}");
        assert_eq!(unfinished(&store).expect("read").len(), 1);
        let mut writer = Writer::reopen(&store, &run, &journal, clock()).expect("opened");
        writer.append(vec![ended()]).and_then(|()| writer.sync()).expect("written");
        assert!(unfinished(&store).expect("read").is_empty());
        store.mark_ended(&run).expect("marked");
        assert!(store.is_marked_ended(&run));
        // The mark holds for this journal only.
        let path = root.path().join("a/b/runs").join(&run).join("journal");
        let text = fs::read_to_string(&path).expect("read").replace("A/a", "A/b");
        fs::write(&path, text + "x").expect("edited");
        assert_eq!(unfinished(&store).expect("read").len(), 1);
    }

    #[test]
    fn a_key_is_made_once_for_its_owner() {
        use std::os::unix::fs::PermissionsExt;
        let root = tempfile::tempdir().expect("a directory");
        let store = Directory::new(root.path().join("state"));
        let key = store.key().expect("a key");
        assert_eq!(store.key().expect("the same"), key);
        let mode = fs::metadata(root.path().join("state/key")).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_ne!(Directory::new(root.path().join("other")).key().expect("a key"), key);
        fs::write(root.path().join("state/key"), "short").expect("written");
        assert!(store.key().is_err());
    }

    #[test]
    fn torn_and_altered_journals_are_taken_up_behind_what_can_be_trusted() {
        let root = tempfile::tempdir().expect("a directory");
        let store = Directory::new(root.path());
        let file = |run: &str, name: &str| root.path().join("runs").join(run).join(name);
        let check = |number: u32, edit: &dyn Fn(String) -> Option<String>, trusted: usize, kept: bool| {
            let run = id(1, number);
            write(&store, &run, vec![intent("A/a"), outcome("A/a")]);
            let text = fs::read_to_string(file(&run, "journal")).expect("read");
            match edit(text) {
                Some(text) => fs::write(file(&run, "journal"), text).expect("edited"),
                None => fs::remove_file(file(&run, "journal")).expect("removed"),
            }
            let journal = store.journal(&run).expect("read");
            assert_eq!(journal.entries.len(), trusted, "{number}");
            let mut writer = Writer::reopen(&store, &run, &journal, clock()).expect("opened");
            let first = (trusted == 0).then(|| run_record(&run));
            writer.append(first.into_iter().chain([ended()]).collect()).and_then(|()| writer.sync()).expect("written");
            let journal = store.journal(&run).expect("read");
            assert_eq!((journal.integrity, journal.is_unfinished()), (Integrity::Whole, false), "{number}");
            assert_eq!(file(&run, "journal.altered").exists(), kept, "{number}");
        };
        check(1, &Some, 3, false);
        check(2, &|text| Some(text + "0123"), 3, false);
        check(3, &|text| Some(text.trim_end().to_owned()), 2, false);
        check(4, &|text| Some(text.replace("\"took_ms\":5", "\"took_ms\":6")), 2, true);
        check(5, &|_| Some(String::new()), 0, true);
        check(6, &|_| None, 0, false);
        // The journal of another run is not that of this one.
        let other = fs::read_to_string(file(&id(1, 1), "journal")).expect("read");
        check(7, &|_| Some(other.clone()), 0, true);
    }

    #[test]
    fn finished_runs_are_removed_by_age_and_by_count() {
        let root = tempfile::tempdir().expect("a directory");
        let store = Directory::new(root.path());
        let now = std::time::UNIX_EPOCH + Duration::from_hours(100);
        for (number, hours) in [1, 50, 60, 70, 80].into_iter().enumerate() {
            let number = u32::try_from(number).expect("small");
            write(&store, &id(hours, number), vec![ended()]);
        }
        write(&store, &id(2, 9), vec![intent("A/a")]);
        fs::create_dir(root.path().join("runs/.half")).expect("made");
        let left = |keep: u64, runs: usize| {
            let retention = Retention { keep: Duration::from_hours(keep), runs };
            store.clean_at(&retention, now).expect("cleaned");
            store
                .runs()
                .expect("read")
                .iter()
                .map(|run| run[13..].trim_start_matches('0').to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(left(1000, 10), ["", "9", "1", "2", "3", "4"]);
        assert_eq!(left(90, 10), ["9", "1", "2", "3", "4"]);
        assert_eq!(left(90, 3), ["9", "2", "3", "4"], "an unfinished run is kept, whatever its age");
        assert_eq!(left(25, 3), ["9", "4"]);
        assert!(root.path().join("runs/.half").exists(), "somebody may be making it");
        let later = std::time::SystemTime::now() + Duration::from_hours(2);
        store.clean_at(&Retention { keep: Duration::from_hours(1_000_000), runs: 9 }, later).expect("cleaned");
        assert!(!root.path().join("runs/.half").exists());
    }

    #[test]
    fn a_state_directory_that_cannot_be_written_says_so() {
        let root = tempfile::tempdir().expect("a directory");
        let path = root.path().join("state");
        fs::write(&path, "in the way").expect("written");
        let store = Directory::new(&path);
        assert!(store.key().is_err() && store.runs().is_err());
        assert!(Writer::create(&store, &id(1, 1), &|out| out.write_all(b"{}"), vec![], clock()).is_err());
        let empty = Directory::new(root.path().join("none"));
        assert!(empty.runs().expect("nothing is there").is_empty());
    }

    #[test]
    fn a_full_disk_leaves_whole_lines() {
        /// Takes so many bytes and no more, as a disk does.
        #[derive(Debug)]
        struct Full(std::fs::File, usize);
        impl Storage for Full {
            fn append(&mut self, bytes: &[u8]) -> std::io::Result<()> {
                let fits = bytes.len() <= self.1;
                self.1 -= bytes.len().min(self.1);
                if fits {
                    std::io::Write::write_all(&mut self.0, bytes)
                } else {
                    Err(std::io::ErrorKind::StorageFull.into())
                }
            }

            fn sync(&mut self) -> std::io::Result<()> {
                if self.1 == 0 { Err(std::io::ErrorKind::StorageFull.into()) } else { Ok(()) }
            }
        }
        let mut writer = Writer::over(Box::new(Full(tempfile::tempfile().expect("a file"), 1000)), clock());
        writer.append(vec![outcome("A/a")]).and_then(|()| writer.sync()).expect("it fits");
        assert!(writer.append((0..20).map(|_| outcome("A/a")).collect()).is_err());
        writer.append(vec![]).expect("nothing takes no room");
        assert!(writer.sync().is_err(), "nothing is known of a disk that fails to sync");
        assert!(writer.append(vec![]).is_err());
    }

    #[test]
    fn a_target_is_known_by_where_it_leads_to() {
        let key = |name: &str, platform: &str, endpoint: &str| {
            let settings = [("endpoint".to_owned(), endpoint.to_owned())].into();
            target_record(&Setup { target: name.into(), platform: platform.into(), settings }).key
        };
        assert_eq!(key("a", "p", "x"), key("b", "p", "x"));
        assert_eq!(key("a", "p", "x").len(), 24);
        assert_ne!(key("a", "p", "x"), key("a", "p", "y"));
        assert_ne!(key("a", "p", "x"), key("a", "q", "x"));
    }
}
