//! Real changes in a directory, as people and machines make them. Each has to be noticed, whatever the system calls it.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant, SystemTime},
};

use tokio::sync::mpsc;

use super::*;

/// More than a busy machine needs.
const PATIENCE: Duration = Duration::from_secs(20);

struct Watched {
    base: tempfile::TempDir,
    watch: Watch,
    dirty: mpsc::Receiver<()>,
}

impl Watched {
    /// Watches `path` in a directory that was filled before.
    fn new(path: &str, poll: Option<Duration>, fill: impl FnOnce(&Path)) -> Self {
        let base = tempfile::tempdir().expect("a directory");
        fill(base.path());
        let (sender, dirty) = mpsc::channel(1);
        let mut watch = Watch::new(vec![base.path().join(path)], true, poll, sender);
        watch.rearm();
        Self { base, watch, dirty }
    }

    /// Changes something; that has to be noticed. Then does what the agent does: sets the watch up where needed, and
    /// reads.
    fn noticed(&mut self, what: &str, change: impl FnOnce(&Path)) {
        self.drain();
        change(self.base.path());
        let end = Instant::now() + PATIENCE;
        while self.dirty.try_recv().is_err() {
            assert!(Instant::now() < end, "{what} was not noticed");
            std::thread::sleep(Duration::from_millis(5));
        }
        self.watch.rearm();
    }

    /// Waits for the echo of earlier changes to end.
    fn drain(&mut self) {
        let end = Instant::now() + PATIENCE;
        let mut quiet = Instant::now();
        while quiet.elapsed() < Duration::from_millis(60) && Instant::now() < end {
            if self.dirty.try_recv().is_ok() {
                quiet = Instant::now();
                self.watch.rearm();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("written");
}

fn link(to: &str, at: &Path) {
    std::os::unix::fs::symlink(to, at).expect("linked");
}

/// Points a link elsewhere at once, as Kubernetes and git-sync do.
fn flip(to: &str, at: &Path) {
    let new = at.with_file_name(".flip");
    link(to, &new);
    fs::rename(&new, at).expect("renamed");
}

#[test]
fn writes_and_renames() {
    let mut watched = Watched::new("m", None, |base| {
        fs::create_dir(base.join("m")).expect("made");
        write(&base.join("m/a.yaml"), "1");
    });
    watched.noticed("a write in place", |base| write(&base.join("m/a.yaml"), "2"));
    watched.noticed("a rename over a file", |base| {
        write(&base.join("m/a.yaml~"), "3");
        fs::rename(base.join("m/a.yaml~"), base.join("m/a.yaml")).expect("renamed");
    });
    watched.noticed("a removal", |base| fs::remove_file(base.join("m/a.yaml")).expect("removed"));
    watched.noticed("directories and a file at once", |base| {
        fs::create_dir_all(base.join("m/b/c/d")).expect("made");
        write(&base.join("m/b/c/d/x.yaml"), "1");
    });
    watched.noticed("a write deep below", |base| write(&base.join("m/b/c/d/x.yaml"), "2"));
}

#[test]
fn reading_is_no_change() {
    let mut watched = Watched::new("m", None, |base| {
        fs::create_dir(base.join("m")).expect("made");
        write(&base.join("m/a.yaml"), "1");
    });
    watched.drain();
    let path = watched.base.path().join("m");
    fs::read(path.join("a.yaml")).expect("read");
    assert_eq!(fs::read_dir(&path).expect("listed").count(), 1);
    // The next event shows that all earlier ones were taken in.
    watched.watch.signals.dirty.try_send(()).expect("nothing was noticed before");
}

#[test]
fn config_map_swaps() {
    let version = |base: &Path, name: &str| {
        fs::create_dir(base.join("m").join(name)).expect("made");
        write(&base.join("m").join(name).join("a.yaml"), name);
    };
    let mut watched = Watched::new("m", None, |base| {
        fs::create_dir(base.join("m")).expect("made");
        version(base, "..1");
        link("..1", &base.join("m/..data"));
        link("..data/a.yaml", &base.join("m/a.yaml"));
    });
    for (old, new) in [("..1", "..2"), ("..2", "..3")] {
        watched.noticed("a new version", |base| version(base, new));
        watched.noticed("the swap", |base| flip(new, &base.join("m/..data")));
        watched.noticed("the removal", |base| fs::remove_dir_all(base.join("m").join(old)).expect("removed"));
    }
}

#[test]
fn replaced_roots() {
    let make = |base: &Path| {
        fs::create_dir(base.join("m")).expect("made");
        write(&base.join("m/a.yaml"), "1");
    };
    let mut watched = Watched::new("m", None, make);
    for _ in 0..2 {
        watched.noticed("a root renamed away", |base| fs::rename(base.join("m"), base.join("gone")).expect("renamed"));
        watched.noticed("a root made anew", make);
        watched.noticed("a write in the new root", |base| write(&base.join("m/a.yaml"), "2"));
        watched.noticed("a removed root", |base| fs::remove_dir_all(base.join("m")).expect("removed"));
        watched.noticed("a root made anew", make);
        watched.noticed("a write in the new root", |base| write(&base.join("m/a.yaml"), "2"));
        fs::remove_dir_all(watched.base.path().join("gone")).expect("removed");
    }
    watched.noticed("a root replaced unseen", |base| {
        fs::remove_dir_all(base.join("m")).expect("removed");
        make(base);
    });
    watched.noticed("a write in the new root", |base| write(&base.join("m/a.yaml"), "2"));
}

#[test]
fn links_that_flip() {
    let trees = |base: &Path| {
        for tree in ["1", "2"] {
            fs::create_dir_all(base.join("trees").join(tree).join("m")).expect("made");
            write(&base.join("trees").join(tree).join("m/a.yaml"), tree);
        }
        fs::create_dir(base.join("trees/1/m/sub")).expect("made");
        link("trees/1", &base.join("current"));
    };
    // The root itself is the link, and the link is on the way to the root.
    for root in ["current", "current/m"] {
        let mut watched = Watched::new(root, None, trees);
        watched.noticed("a flip", |base| flip("trees/2", &base.join("current")));
        watched.noticed("a write in the new tree", |base| write(&base.join("trees/2/m/a.yaml"), "3"));
        watched.noticed("a flip back", |base| flip("trees/1", &base.join("current")));
        watched.noticed("a write in the first tree", |base| write(&base.join("trees/1/m/sub/b.yaml"), "3"));
    }
}

#[test]
fn links_out_of_the_root() {
    let mut watched = Watched::new("m", None, |base| {
        for directory in ["m/sub", "one/deep", "two"] {
            fs::create_dir_all(base.join(directory)).expect("made");
        }
        write(&base.join("two/b.yaml"), "1");
        link("../../one", &base.join("m/sub/outside"));
    });
    watched.noticed("a write behind a link", |base| write(&base.join("one/deep/a.yaml"), "1"));
    watched.noticed("a flip of a link", |base| flip("../../two", &base.join("m/sub/outside")));
    watched.noticed("a write behind the new target", |base| write(&base.join("two/b.yaml"), "2"));
    watched.noticed("a link to a file", |base| link("../one/deep/a.yaml", &base.join("m/file.yaml")));
    watched.noticed("a write to that file", |base| write(&base.join("one/deep/a.yaml"), "2"));
}

#[test]
fn polling_notices_too() {
    let mut watched = Watched::new("m", Some(Duration::from_millis(20)), |base| {
        fs::create_dir(base.join("m")).expect("made");
        write(&base.join("m/a.yaml"), "1");
    });
    watched.noticed("a write", |base| {
        let file = fs::File::create(base.join("m/a.yaml")).expect("made");
        // Polling tells times apart by the second.
        file.set_modified(SystemTime::now() + Duration::from_mins(1)).expect("set");
    });
    watched.noticed("a new file", |base| write(&base.join("m/b.yaml"), "1"));
}

#[test]
fn limits_are_told_by_their_setting() {
    let error = |code: i32| notify::Error::io(std::io::Error::from_raw_os_error(code));
    assert_eq!(limit(&notify::Error::new(ErrorKind::MaxFilesWatch)), Some("fs.inotify.max_user_watches"));
    assert!(limit(&error(24)).is_some_and(|setting| setting.contains("max_user_instances")));
    assert_eq!(limit(&error(2)), None);
    assert_eq!(limit(&notify::Error::new(ErrorKind::PathNotFound)), None);
}

#[test]
fn a_limit_that_is_hit_later_leads_to_polling() {
    let mut watched = Watched::new("m", None, |base| fs::create_dir(base.join("m")).expect("made"));
    watched.watch.signals.note(&Err(notify::Error::new(ErrorKind::MaxFilesWatch)));
    watched.watch.rearm();
    assert_eq!(watched.watch.poll, Some(POLL));
    watched.noticed("a new file", |base| write(&base.join("m/a.yaml"), "1"));
}
