//! The paths below `/_sandbox/`, by which tests and people steer a sandbox.

use serde_json::{Map, Value, json};

use super::{
    Sandbox,
    server::plain,
    simulator::{Answer, Request, StateError},
};

/// Answers a request to steer the sandbox.
pub(super) async fn answer(sandbox: &Sandbox, request: Request) -> Answer {
    let sandbox = sandbox.clone();
    let long = request.path == "/_sandbox/state";
    if !long {
        return steer(&sandbox, &request);
    }
    // Large states take seconds to read and write.
    let task = tokio::task::spawn_blocking(move || steer(&sandbox, &request));
    task.await.unwrap_or_else(|_| plain(500, "the request ended in a panic"))
}

fn steer(sandbox: &Sandbox, request: &Request) -> Answer {
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/_sandbox/state") => json_answer(200, &sandbox.state()),
        ("PUT", "/_sandbox/state") => match document(&request.body) {
            Ok(state) => done(sandbox.load(&state)),
            Err(mistake) => done(Err(vec![mistake])),
        },
        ("GET", "/_sandbox/calls") if request.query.split('&').any(|pair| pair == "summary=1") => {
            json_answer(200, &json!(sandbox.call_counts()))
        }
        ("GET", "/_sandbox/calls") => json_answer(200, &json!(sandbox.calls())),
        ("DELETE", "/_sandbox/calls") => {
            sandbox.clear_calls();
            done(Ok(()))
        }
        ("GET", "/_sandbox/options") => json_answer(200, &Value::Object(sandbox.options())),
        ("PUT", "/_sandbox/options") => match document(&request.body) {
            Ok(Value::Object(options)) => set_options(sandbox, &options),
            Ok(_) => done(Err(vec![mistake(String::new(), "expected an object of options")])),
            Err(mistake) => done(Err(vec![mistake])),
        },
        ("PUT", "/_sandbox/faults") => match document(&request.body) {
            Ok(faults) => done(sandbox.set_faults(&faults)),
            Err(mistake) => done(Err(vec![mistake])),
        },
        ("POST", "/_sandbox/edit") => edit(sandbox, &request.body),
        (_, path) => plain(404, &format!("404: the sandbox has no {} {path}", request.method)),
    }
}

fn mistake(pointer: String, message: impl Into<String>) -> StateError {
    StateError { pointer, message: message.into() }
}

/// Reads a JSON document, or else a YAML one.
fn document(body: &[u8]) -> Result<Value, StateError> {
    let no_json = match serde_json::from_slice(body) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    // A text that begins like JSON gets JSON's message.
    if body.trim_ascii_start().starts_with(b"{") || body.trim_ascii_start().starts_with(b"[") {
        return Err(mistake(String::new(), format!("not JSON: {no_json}")));
    }
    let text = std::str::from_utf8(body).map_err(|_| mistake(String::new(), "not UTF-8"))?;
    serde_saphyr::from_str(text).map_err(|error| mistake(String::new(), format!("neither JSON nor YAML: {error}")))
}

fn json_answer(status: u16, body: &Value) -> Answer {
    let mut answer = plain(status, &body.to_string());
    answer.headers.push(("content-type".to_owned(), "application/json".to_owned()));
    answer
}

fn done(result: Result<(), Vec<StateError>>) -> Answer {
    match result {
        Ok(()) => json_answer(200, &json!({"result": true})),
        Err(mistakes) => {
            let errors: Vec<Value> = mistakes
                .into_iter()
                .map(|mistake| json!({"pointer": mistake.pointer, "message": mistake.message}))
                .collect();
            json_answer(400, &json!({"result": false, "errors": errors}))
        }
    }
}

fn set_options(sandbox: &Sandbox, options: &Map<String, Value>) -> Answer {
    match sandbox.set_options(options) {
        Ok(()) => json_answer(200, &Value::Object(sandbox.options())),
        Err(mistakes) => done(Err(mistakes)),
    }
}

/// Makes a call in somebody else's name; it is not among the calls.
fn edit(sandbox: &Sandbox, body: &[u8]) -> Answer {
    let edit = match document(body) {
        Ok(edit) => edit,
        Err(mistake) => return done(Err(vec![mistake])),
    };
    let text = |name: &str| edit.get(name).and_then(Value::as_str).unwrap_or("");
    let (user, operation) = (text("user"), text("operation"));
    let user = if user.is_empty() { "somebody_else" } else { user };
    let body = edit.get("body").cloned().unwrap_or_else(|| json!({}));
    let mut answers = sandbox.shared.simulators.iter();
    let answer = answers.find_map(|simulator| simulator.edit(user, operation, &body));
    answer.unwrap_or_else(|| done(Err(vec![mistake("/operation".to_owned(), "no platform has this operation")])))
}
