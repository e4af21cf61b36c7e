//! The work itself with the fewest calls: pages of 500 over ten connections, a write for each object that differs.
//!
//! It knows what is declared without reading a manifest, prints no plan and reads nothing back.

use std::{
    net::TcpStream,
    sync::{Condvar, Mutex},
    thread,
};

use serde::Deserialize;
use serde_json::json;

use crate::{
    Flags, Result,
    http::Connection,
    world::{self, Kind},
};

/// Connections, so at most as many calls at a time.
const CONNECTIONS: usize = 10;
/// Objects of a page.
const PAGE: usize = 500;

enum Job {
    /// The apps from an offset on.
    Apps(usize),
    /// The instances of a model with these numbers.
    Instances(String, Vec<usize>),
    /// A message, whole.
    Write(String),
}

struct Queue {
    jobs: Vec<Job>,
    /// Jobs that somebody is at: they may bring new ones.
    running: usize,
    writes: usize,
    failed: Option<String>,
}

struct Work {
    address: String,
    count: usize,
    is_apply: bool,
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Deserialize)]
struct AppPage<'a> {
    #[serde(borrow)]
    apps: Vec<App<'a>>,
    total: usize,
}

#[derive(Deserialize)]
struct App<'a> {
    id: &'a str,
    name: &'a str,
    remark: &'a str,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    result: bool,
    #[serde(borrow)]
    data: Option<InstancePage<'a>>,
}

#[derive(Deserialize)]
struct InstancePage<'a> {
    #[serde(borrow)]
    info: Vec<Instance<'a>>,
}

#[derive(Deserialize)]
struct Instance<'a> {
    bk_inst_id: u64,
    bk_inst_name: &'a str,
    owner: &'a str,
    room: &'a str,
    rack: &'a str,
    units: u64,
    serial: &'a str,
    address: &'a str,
    contact: &'a str,
    asset: &'a str,
    purpose: &'a str,
    system: &'a str,
}

impl Instance<'_> {
    /// Returns true if all but the owner is as declared.
    fn is_in_sync(&self, number: usize) -> bool {
        let texts = [
            ("room", self.room),
            ("rack", self.rack),
            ("serial", self.serial),
            ("address", self.address),
            ("contact", self.contact),
            ("asset", self.asset),
            ("purpose", self.purpose),
            ("system", self.system),
        ];
        let is_same = |(field, live): (&str, &str)| world::attribute(number, field).trim_matches('"') == live;
        texts.into_iter().all(is_same) && world::attribute(number, "units") == self.units.to_string()
    }
}

fn request(method: &str, path: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nhost: floor\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

fn esb(operation: &str, mut body: serde_json::Value) -> String {
    body["bk_app_code"] = "floor".into();
    body["bk_app_secret"] = "floor".into();
    body["bk_username"] = "admin".into();
    request("POST", &format!("/api/c/compapi/v2/cc/{operation}/"), &body.to_string())
}

impl Work {
    fn message(job: &Job) -> String {
        match job {
            Job::Apps(offset) => request("GET", &format!("/v2/p1/instances/i1/apps?limit={PAGE}&offset={offset}"), ""),
            Job::Instances(model, numbers) => {
                let names: Vec<String> = numbers.iter().map(|number| world::name(Kind::Instances, *number)).collect();
                let rules = json!([{"field": "bk_inst_name", "operator": "in", "value": names}]);
                let conditions = json!({"condition": "AND", "rules": rules});
                let page = json!({"start": 0, "limit": PAGE, "sort": "bk_inst_id"});
                let fields: Vec<&str> = ["bk_inst_id", "bk_inst_name"].into_iter().chain(world::ATTRIBUTES).collect();
                let body = json!({"bk_obj_id": model, "conditions": conditions, "fields": fields, "page": page});
                esb("search_object_instances", body)
            }
            Job::Write(message) => message.clone(),
        }
    }

    /// The jobs that follow from an answer.
    fn follow(&self, job: &Job, body: &[u8]) -> Result<Vec<Job>> {
        match job {
            Job::Write(_) => Ok(Vec::new()),
            Job::Apps(offset) => {
                let page: AppPage = serde_json::from_slice(body)?;
                let mut jobs = Vec::new();
                if *offset == 0 {
                    jobs.extend((PAGE..page.total).step_by(PAGE).map(Job::Apps));
                }
                for app in &page.apps {
                    let number = world::number(Kind::Apps, app.name).ok_or("an app that nobody declares")?;
                    let remark = world::declared(Kind::Apps, number);
                    if app.remark != remark {
                        let body = json!({"name": app.name, "remark": remark, "favorite": false}).to_string();
                        jobs.push(Job::Write(request("PUT", &format!("/v2/p1/instances/i1/apps/{}", app.id), &body)));
                    }
                }
                if page.total == 0 {
                    jobs.extend((0..self.count).map(|number| {
                        let (name, remark) = (world::name(Kind::Apps, number), world::declared(Kind::Apps, number));
                        let body = json!({"name": name, "remark": remark}).to_string();
                        Job::Write(request("POST", "/v2/p1/instances/i1/apps", &body))
                    }));
                }
                Ok(jobs)
            }
            Job::Instances(model, numbers) => {
                let envelope: Envelope = serde_json::from_slice(body)?;
                let page = envelope.data.filter(|_| envelope.result).ok_or("the search was refused")?;
                if page.info.len() != numbers.len() {
                    return Err("an instance is missing".into());
                }
                let mut jobs = Vec::new();
                for instance in &page.info {
                    let number = world::number(Kind::Instances, instance.bk_inst_name).ok_or("an unknown instance")?;
                    if !instance.is_in_sync(number) {
                        return Err("more than the owner differs".into());
                    }
                    let owner = world::declared(Kind::Instances, number);
                    if instance.owner != owner {
                        let body = json!({"bk_obj_id": model, "bk_inst_id": instance.bk_inst_id, "owner": owner});
                        jobs.push(Job::Write(esb("update_inst", body)));
                    }
                }
                Ok(jobs)
            }
        }
    }

    fn next(&self) -> Option<Job> {
        let mut queue = self.queue.lock().expect("no panic");
        loop {
            if queue.failed.is_some() {
                return None;
            }
            if let Some(job) = queue.jobs.pop() {
                queue.running += 1;
                return Some(job);
            }
            if queue.running == 0 {
                self.changed.notify_all();
                return None;
            }
            queue = self.changed.wait(queue).expect("no panic");
        }
    }

    fn work(&self) -> Result<()> {
        let mut connection = None;
        while let Some(job) = self.next() {
            let connection = match &mut connection {
                Some(connection) => connection,
                none => none.insert(Connection::new(TcpStream::connect(&self.address)?)?),
            };
            connection.send(Self::message(&job).as_bytes())?;
            let answer = connection.receive()?.ok_or("the server closed the connection")?;
            if !answer.first.contains(" 200 ") && !answer.first.contains(" 201 ") {
                return Err(format!("{}: {}", answer.first, String::from_utf8_lossy(answer.body)).into());
            }
            let jobs = self.follow(&job, answer.body)?;
            let mut queue = self.queue.lock().expect("no panic");
            let is_write = |job: &Job| matches!(job, Job::Write(_));
            queue.writes += jobs.iter().filter(|job| is_write(job)).count();
            queue.jobs.extend(jobs.into_iter().filter(|job| self.is_apply || !is_write(job)));
            queue.running -= 1;
            self.changed.notify_all();
        }
        Ok(())
    }
}

/// Does the work and prints how many objects differed.
pub(crate) fn run(flags: &Flags) -> Result<()> {
    let (kind, count, models) = (flags.kind()?, flags.number("n", 1000)?, flags.number("models", 1)?);
    let address = flags.text("endpoint").and_then(|url| url.strip_prefix("http://")).ok_or("--endpoint is missing")?;
    let jobs = match kind {
        Kind::Apps => vec![Job::Apps(0)],
        Kind::Instances => (0..models)
            .flat_map(|model| {
                let numbers: Vec<usize> = (model..count).step_by(models).collect();
                let pages = numbers.chunks(PAGE).map(<[usize]>::to_vec).collect::<Vec<_>>();
                pages.into_iter().map(move |numbers| Job::Instances(format!("m{model}"), numbers))
            })
            .collect(),
    };
    let work = Work {
        address: address.to_owned(),
        count,
        is_apply: flags.text("do") == Some("apply"),
        queue: Mutex::new(Queue { jobs, running: 0, writes: 0, failed: None }),
        changed: Condvar::new(),
    };
    thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                if let Err(error) = work.work() {
                    work.queue.lock().expect("no panic").failed = Some(error.to_string());
                    work.changed.notify_all();
                }
            });
        }
    });
    let queue = work.queue.into_inner().expect("no panic");
    if let Some(error) = queue.failed {
        return Err(error.into());
    }
    println!("{} differ", queue.writes);
    Ok(())
}
