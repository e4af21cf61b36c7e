//! A server that answers as both platforms would, from memory, and counts what it is asked.
//!
//! It knows the few operations that the measurements need. Any other one is refused, so that a program which asks more
//! than that fails, and is not measured.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};

use crate::{
    Flags, Result,
    http::Connection,
    world::{self, ATTRIBUTES, Kind},
};

/// What there is.
struct World {
    kind: Kind,
    models: usize,
    /// The objects by their places in a list, each with its number, its id, its changing field and its text.
    rows: Vec<Row>,
    /// The places of the objects by their ids.
    places: HashMap<String, usize>,
    /// The digest of the state that is declared.
    declared: u64,
    latency: Duration,
}

struct Row {
    number: usize,
    id: String,
    changing: String,
    text: String,
}

/// What was asked so far.
#[derive(Default)]
struct Counts {
    calls: BTreeMap<String, usize>,
    refused: usize,
    /// When the first write came, in seconds since 1970.
    first_write: Option<f64>,
    last_write: Option<f64>,
    first_read: Option<f64>,
}

struct Server {
    world: RwLock<World>,
    counts: Mutex<Counts>,
    in_flight: AtomicUsize,
    most_in_flight: AtomicUsize,
}

/// An answer: its status and its body.
type Answer = (u16, String);

impl Row {
    fn new(kind: Kind, number: usize, id: String, changing: String) -> Self {
        let text = world::row(kind, number, &id, &changing);
        Self { number, id, changing, text }
    }
}

impl World {
    fn new(flags: &Flags) -> Result<Self> {
        let (kind, count, models) = (flags.kind()?, flags.number("n", 1000)?, flags.number("models", 1)?);
        let changed = |number: usize| match flags.text("changed") {
            Some("percent") => number.is_multiple_of(100),
            Some("all") => true,
            _ => false,
        };
        let digest = |number| world::digest(&world::name(kind, number), &world::declared(kind, number));
        let declared = (0..count).map(digest).fold(0, u64::wrapping_add);
        let there = if flags.text("changed") == Some("missing") { 0 } else { count };
        let rows: Vec<Row> = (0..there)
            .map(|number| {
                let declared = world::declared(kind, number);
                let changing = if changed(number) { world::CHANGED.to_owned() } else { declared };
                Row::new(kind, number, world::id(kind, number), changing)
            })
            .collect();
        let places = rows.iter().enumerate().map(|(place, row)| (row.id.clone(), place)).collect();
        let latency = Duration::from_millis(u64::try_from(flags.number("latency-ms", 0)?)?);
        Ok(Self { kind, models, rows, places, declared, latency })
    }

    fn digest(&self) -> u64 {
        let digest = |row: &Row| world::digest(&world::name(self.kind, row.number), &row.changing);
        self.rows.iter().map(digest).fold(0, u64::wrapping_add)
    }

    fn change(&mut self, place: usize, changing: &str) -> &str {
        let row = &self.rows[place];
        self.rows[place] = Row::new(self.kind, row.number, row.id.clone(), changing.to_owned());
        &self.rows[place].text
    }
}

fn joined<'r>(rows: impl Iterator<Item = &'r Row>) -> String {
    let mut text = String::with_capacity(200 << 10);
    for row in rows {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(&row.text);
    }
    text
}

/// BlueKing's envelope.
fn envelope(data: &str) -> Answer {
    (200, format!(r#"{{"result":true,"code":0,"message":"success","permission":null,"request_id":"r","data":{data}}}"#))
}

fn refused(what: &str) -> Answer {
    eprintln!("refused: {what}");
    let message = json!(format!("the server of the measurements does not know this: {what}"));
    (
        400,
        format!(
            r#"{{"result":false,"code":1199999,"message":{message},"error_code":"X","error_msg":{message},"data":null}}"#
        ),
    )
}

/// The rows that a condition of one rule selects, by id or by name.
fn selected<'w>(world: &'w World, field: &str, values: &Value) -> Option<Vec<&'w Row>> {
    let one = [values.clone()];
    let values = values.as_array().map_or(&one[..], Vec::as_slice);
    let mut rows: Vec<&Row> = match field {
        "bk_inst_id" => values.iter().filter_map(|id| world.rows.get(*world.places.get(&id.to_string())?)).collect(),
        "bk_inst_name" => {
            values.iter().filter_map(|name| world.rows.get(world::number(Kind::Instances, name.as_str()?)?)).collect()
        }
        _ => return None,
    };
    rows.sort_by_key(|row| row.number);
    Some(rows)
}

/// The conditions of a search: all of a model, or one rule.
fn search<'w>(world: &'w World, body: &Value) -> Option<Vec<&'w Row>> {
    let model = body["bk_obj_id"].as_str()?;
    let of_model = |row: &&Row| world::model(row.number, world.models) == model;
    let rules = body["conditions"]["rules"].as_array().map(Vec::as_slice);
    let rows = match rules {
        None => world.rows.iter().filter(of_model).collect(),
        Some([rule]) => {
            selected(world, rule["field"].as_str()?, &rule["value"])?.into_iter().filter(of_model).collect()
        }
        Some(_) => return None,
    };
    Some(rows)
}

fn page<'w>(rows: &[&'w Row], page: &Value) -> Vec<&'w Row> {
    let number = |name: &str, default| page[name].as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or(default);
    rows.iter().skip(number("start", 0)).take(number("limit", 500)).copied().collect()
}

/// The definition of a model: a text for each attribute, a number for `units`.
fn attributes(model: &str) -> String {
    let attribute = |(index, field): (usize, &&str)| {
        let is_name = *field == "bk_inst_name";
        let (kind, option) =
            if *field == "units" { ("int", json!({"min": "", "max": ""})) } else { ("singlechar", json!("")) };
        json!({
            "bk_obj_id": model, "bk_property_id": field, "bk_property_type": kind, "bk_biz_id": 0, "id": index + 1,
            "bk_supplier_account": "0", "bk_property_name": field, "bk_property_group": "default",
            "bk_property_index": index, "unit": "", "placeholder": "", "editable": true, "isrequired": is_name,
            "ispre": is_name, "isreadonly": false, "bk_issystem": false, "bk_isapi": false, "isonly": is_name,
            "option": option, "ismultiple": false, "bk_template_id": 0, "creator": "admin",
        })
    };
    let fields: Vec<&str> = ["bk_inst_name"].into_iter().chain(ATTRIBUTES).collect();
    fields.iter().enumerate().map(attribute).collect::<Value>().to_string()
}

impl Server {
    fn blueking(&self, operation: &str, body: &Value) -> Answer {
        let world = self.world.read().expect("no panic");
        let unknown = || refused(&format!("{operation} {body}"));
        match operation {
            "search_object_attribute" => envelope(&attributes(body["bk_obj_id"].as_str().unwrap_or_default())),
            "search_object_instances" => search(&world, body).map_or_else(unknown, |rows| {
                envelope(&format!(r#"{{"info":[{}]}}"#, joined(page(&rows, &body["page"]).into_iter())))
            }),
            "count_object_instances" => {
                search(&world, body).map_or_else(unknown, |rows| envelope(&format!(r#"{{"count":{}}}"#, rows.len())))
            }
            "search_inst_by_object" => {
                let rows = selected(&world, "bk_inst_id", &body["condition"]["bk_inst_id"]["$in"]);
                rows.map_or_else(unknown, |rows| {
                    let info = joined(page(&rows, &body["page"]).into_iter());
                    envelope(&format!(r#"{{"count":{},"info":[{info}]}}"#, rows.len()))
                })
            }
            "search_instance_associations" => envelope(r#"{"info":[]}"#),
            "update_inst" => {
                drop(world);
                let mut world = self.world.write().expect("no panic");
                let place = world.places.get(&body["bk_inst_id"].to_string()).copied();
                match (place, body["owner"].as_str()) {
                    (Some(place), Some(owner)) => {
                        world.change(place, owner);
                        envelope("null")
                    }
                    _ => unknown(),
                }
            }
            _ => unknown(),
        }
    }

    fn roma(&self, method: &str, path: &str, query: &str, body: &Value) -> Answer {
        let parameter =
            |name: &str| query.split('&').find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name));
        let number = |name, default| parameter(name).and_then(|(_, text)| text.parse().ok()).unwrap_or(default);
        let world = self.world.read().expect("no panic");
        let unknown = || refused(&format!("{method} {path}?{query} {body}"));
        match (method, path.split_once("/apps")) {
            ("GET", None) if path == "/v2/p1/instances" => (
                200,
                r#"{"instances":[{"id":"i1","name":"i1","project_id":"p1","status":"RUNNING"}],"size":1,"total":1}"#
                    .to_owned(),
            ),
            ("GET", Some((_, ""))) => {
                let rows: Vec<&Row> = world.rows.iter().skip(number("offset", 0)).take(number("limit", 10)).collect();
                let (size, total) = (rows.len(), world.rows.len());
                (200, format!(r#"{{"apps":[{}],"size":{size},"total":{total}}}"#, joined(rows.into_iter())))
            }
            ("GET", None) if path.ends_with("/validate-apps") => {
                let name = parameter("name").map(|(_, name)| name);
                let row = world.rows.iter().find(|row| Some(world::name(Kind::Apps, row.number).as_str()) == name);
                let gone = r#"{"error_code":"ROMA.00014001","error_msg":"Application not found","request_id":"r"}"#;
                row.map_or_else(|| (404, gone.to_owned()), |row| (200, row.text.clone()))
            }
            ("GET", Some((_, id))) => {
                let place = world.places.get(id.trim_start_matches('/'));
                place.map_or_else(unknown, |place| (200, world.rows[*place].text.clone()))
            }
            ("PUT", Some((_, id))) => {
                drop(world);
                let mut world = self.world.write().expect("no panic");
                let place = world.places.get(id.trim_start_matches('/')).copied();
                match (place, body["remark"].as_str()) {
                    (Some(place), Some(remark)) => (200, world.change(place, remark).to_owned()),
                    _ => unknown(),
                }
            }
            ("POST", Some((_, ""))) => {
                drop(world);
                let mut world = self.world.write().expect("no panic");
                let number = body["name"].as_str().and_then(|name| world::number(Kind::Apps, name));
                match (number, body["remark"].as_str()) {
                    (Some(number), Some(remark)) => {
                        let row = Row::new(Kind::Apps, number, world::id(Kind::Apps, number), remark.to_owned());
                        let (text, place) = (row.text.clone(), world.rows.len());
                        world.places.insert(row.id.clone(), place);
                        world.rows.push(row);
                        (201, text)
                    }
                    _ => unknown(),
                }
            }
            _ => unknown(),
        }
    }

    /// Answers what the calls of a run came to, or puts another world in place.
    fn control(&self, path: &str, query: &str) -> Result<Answer> {
        if path == "/_stub/world" {
            let words = query.split('&').filter_map(|pair| pair.split_once('='));
            let flags = Flags(words.flat_map(|(name, value)| [format!("--{name}"), value.to_owned()]).collect());
            *self.world.write().expect("no panic") = World::new(&flags)?;
        }
        let world = self.world.read().expect("no panic");
        let mut counts = self.counts.lock().expect("no panic");
        if path != "/_stub/report" {
            *counts = Counts::default();
            self.most_in_flight.store(0, Ordering::Relaxed);
        }
        // The digest goes over all objects: who asks often does without.
        let digest = (query != "brief").then(|| world.digest());
        let report = json!({
            "calls": counts.calls.values().sum::<usize>(), "by_operation": counts.calls, "refused": counts.refused,
            "first_read": counts.first_read, "first_write": counts.first_write, "last_write": counts.last_write,
            "most_in_flight": self.most_in_flight.load(Ordering::Relaxed),
            "as_declared": digest.map(|digest| digest == world.declared),
        });
        Ok((200, report.to_string()))
    }

    fn answer(&self, method: &str, target: &str, body: &[u8]) -> Result<Answer> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        if path.starts_with("/_stub") {
            return self.control(path, query);
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs_f64();
        let in_flight = self.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
        self.most_in_flight.fetch_max(in_flight, Ordering::Relaxed);
        let latency = self.world.read().expect("no panic").latency;
        if !latency.is_zero() {
            thread::sleep(latency);
        }
        let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(body)? };
        let operation = path.strip_prefix("/api/c/compapi/v2/cc/").map(|name| name.trim_end_matches('/'));
        let answer = match operation {
            Some(operation) => self.blueking(operation, &body),
            None => self.roma(method, path, query, &body),
        };
        let is_write = operation.map_or(method != "GET", |name| name.starts_with("update_"));
        let mut counts = self.counts.lock().expect("no panic");
        let name = operation.map_or_else(
            || {
                let shape =
                    if path.contains("/apps/") { path.rsplit_once('/').map_or(path, |(above, _)| above) } else { path };
                format!("{method} {shape}")
            },
            str::to_owned,
        );
        *counts.calls.entry(name).or_default() += 1;
        counts.refused += usize::from(answer.0 == 400);
        if is_write {
            counts.first_write.get_or_insert(now);
            counts.last_write = Some(now);
        } else {
            counts.first_read.get_or_insert(now);
        }
        drop(counts);
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        Ok(answer)
    }

    fn converse(&self, stream: TcpStream) -> Result<()> {
        let mut connection = Connection::new(stream)?;
        let mut answer = String::new();
        while let Some(message) = connection.receive()? {
            let mut words = message.first.split(' ');
            let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            let (status, body) = self.answer(method, target, message.body)?;
            answer.clear();
            write!(
                answer,
                "HTTP/1.1 {status} OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            )?;
            connection.send(answer.as_bytes())?;
        }
        Ok(())
    }
}

/// Serves until it is ended.
pub(crate) fn serve(flags: &Flags) -> Result<()> {
    let listener = TcpListener::bind(flags.text("listen").unwrap_or("127.0.0.1:0"))?;
    println!("listening on http://{}", listener.local_addr()?);
    let server = Arc::new(Server {
        world: RwLock::new(World::new(flags)?),
        counts: Mutex::default(),
        in_flight: AtomicUsize::new(0),
        most_in_flight: AtomicUsize::new(0),
    });
    for stream in listener.incoming() {
        let (server, stream) = (Arc::clone(&server), stream?);
        thread::spawn(move || {
            // A client that ends in the middle of a message is no concern of the server.
            if let Err(error) = server.converse(stream) {
                eprintln!("connection: {error}");
            }
        });
    }
    Ok(())
}
