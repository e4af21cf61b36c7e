//! `reconcile lsp`: the Language Server Protocol on stdin and stdout.

mod files;
mod live;
mod refresh;

use std::{
    collections::BTreeMap,
    error::Error,
    path::{Path, PathBuf},
    sync::Arc,
};

use crossbeam_channel::select;
use lsp_server::{Connection, ErrorCode, Message, Notification, Request, Response};
use serde_json::{Value, json};

use super::{
    args::{Inputs, LspArgs},
    error::CommandError,
    exit::ExitStatus,
    inputs,
};
use crate::{
    lsp::{self, Workspace},
    platform, version,
};
use files::Files;
use live::{Loaded, Settings};
use refresh::Refresh;

/// The command that reads the snapshot again.
const REFRESH: &str = "reconcile.refresh";
/// Severities of messages in the protocol.
const WARNING: u8 = 2;
const INFO: u8 = 3;

/// Serves an editor until it says goodbye. Nothing is sent to a server, and no credential is needed.
pub(super) fn run(args: &LspArgs) -> Result<ExitStatus, CommandError> {
    let (connection, threads) = Connection::stdio();
    let result = serve(args, &connection);
    // The threads end once nobody can write to them.
    drop(connection);
    let joined = threads.join().map_err(|error| error.to_string());
    result.and(joined).map(|()| ExitStatus::Success).map_err(CommandError::failed)
}

fn serve(args: &LspArgs, connection: &Connection) -> Result<(), String> {
    let failed = |error: &dyn Error| inputs::explain(error);
    let (id, parameters) = connection.initialize_start().map_err(|error| failed(&error))?;
    let result = json!({
        "capabilities": capabilities(),
        "serverInfo": {"name": "reconcile", "version": version::VERSION},
    });
    connection.initialize_finish(id, result).map_err(|error| failed(&error))?;
    let root = root(&parameters)?;
    let inputs = located(&args.inputs, &root);
    let named = || parameters["initializationOptions"]["against"].as_str().map(PathBuf::from);
    let against = args.against.clone().or_else(named);
    let settings = against.map(|against| Settings {
        against: root.join(against),
        root: root.clone(),
        inputs: inputs.clone(),
        state_dir: args.state_dir.clone(),
    });
    let mut server = Server {
        args: inputs,
        open: BTreeMap::new(),
        published: BTreeMap::new(),
        workspace: None,
        live: Refresh::new(settings),
        hints_refresh: parameters["capabilities"]["workspace"]["inlayHint"]["refreshSupport"] == true,
        asked: 0,
        connection,
    };
    server.reload()?;
    server.publish()?;
    server.live.start();
    let results = server.live.results();
    loop {
        select! {
            recv(connection.receiver) -> message => {
                let Ok(message) = message else { return Ok(()) };
                if let Message::Request(request) = &message
                    && connection.handle_shutdown(request).map_err(|error| failed(&error))?
                {
                    return Ok(());
                }
                server.take(message)?;
            }
            recv(results) -> loaded => {
                if let Ok(loaded) = loaded {
                    server.refreshed(loaded)?;
                }
            }
        }
    }
}

/// What the server can do, as the protocol has it.
fn capabilities() -> Value {
    json!({
        "positionEncoding": "utf-16",
        // Whole texts: manifests are small.
        "textDocumentSync": {"openClose": true, "change": 1, "save": true},
        "completionProvider": {"triggerCharacters": [" ", ":", "{", "-"]},
        "hoverProvider": true,
        "definitionProvider": true,
        "referencesProvider": true,
        "renameProvider": true,
        "codeActionProvider": {"codeActionKinds": ["quickfix", "refactor"]},
        "inlayHintProvider": true,
        "executeCommandProvider": {"commands": [REFRESH]},
    })
}

/// Returns the directory that the editor opened; the current one if it names none.
fn root(parameters: &Value) -> Result<PathBuf, String> {
    let folder = parameters["workspaceFolders"][0]["uri"].as_str().or(parameters["rootUri"].as_str());
    match folder.and_then(path_of) {
        Some(root) => Ok(PathBuf::from(root)),
        None => std::env::current_dir().map_err(|error| format!("there is no current directory: {error}")),
    }
}

/// Returns the arguments with absolute paths: without any, the directory that the editor opened is read.
fn located(args: &Inputs, root: &Path) -> Inputs {
    let mut inputs = args.clone();
    let absolute = |path: &PathBuf| root.join(path);
    inputs.overlays = inputs.overlays.iter().map(absolute).collect();
    inputs.values = inputs.values.iter().map(absolute).collect();
    inputs.config = inputs.config.as_ref().map(absolute);
    let paths = inputs::paths(&inputs);
    inputs.files = Vec::new();
    inputs.paths =
        paths.iter().map(|path| if path == Path::new(".") { root.to_owned() } else { root.join(path) }).collect();
    inputs
}

/// Returns the path of a `file:` address.
fn path_of(uri: &str) -> Option<String> {
    let path = uri.strip_prefix("file://")?;
    percent_encoding::percent_decode_str(path).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

struct Server<'a> {
    args: Inputs,
    /// The texts of the files that are open in the editor, by their paths.
    open: BTreeMap<Arc<str>, Arc<str>>,
    /// The diagnostics that the editor has, by the paths of files.
    published: BTreeMap<Arc<str>, Vec<Value>>,
    workspace: Option<Workspace>,
    /// The live objects, where a snapshot is named.
    live: Refresh,
    /// The editor asks for hints again when it is told to.
    hints_refresh: bool,
    /// How many requests were sent to the editor.
    asked: i32,
    connection: &'a Connection,
}

impl Server<'_> {
    /// Takes a message, and all changes that are waiting behind it: only the newest text matters.
    fn take(&mut self, first: Message) -> Result<(), String> {
        let mut next = Some(first);
        let mut is_changed = false;
        while let Some(message) = next {
            match message {
                Message::Notification(notification) => is_changed |= self.notified(notification)?,
                Message::Request(request) => {
                    if std::mem::take(&mut is_changed) {
                        self.refresh();
                    }
                    if self.connection.handle_shutdown(&request).unwrap_or(true) {
                        return Ok(());
                    }
                    self.answer(request)?;
                    return self.publish();
                }
                Message::Response(_) => {}
            }
            next = self.connection.receiver.try_recv().ok();
        }
        if is_changed {
            self.refresh();
        }
        self.publish()
    }

    /// Takes a notification. Returns true if a text changed.
    fn notified(&mut self, notification: Notification) -> Result<bool, String> {
        let parameters = notification.params;
        let path = parameters["textDocument"]["uri"].as_str().and_then(path_of);
        let text = match notification.method.as_str() {
            "textDocument/didOpen" => parameters["textDocument"]["text"].as_str(),
            "textDocument/didChange" => {
                parameters["contentChanges"].as_array().and_then(|all| all.last()?["text"].as_str())
            }
            "textDocument/didClose" => {
                path.and_then(|path| self.open.remove(&*path));
                self.reload()?;
                return Ok(false);
            }
            "textDocument/didSave" | "workspace/didChangeWatchedFiles" => {
                self.reload()?;
                if notification.method == "textDocument/didSave" {
                    self.live.start();
                }
                return Ok(false);
            }
            _ => None,
        };
        let Some((path, text)) = path.zip(text) else { return Ok(false) };
        self.open.insert(path.into(), text.into());
        Ok(true)
    }

    /// Reads all files anew. Those that are open in the editor are taken from there.
    fn reload(&mut self) -> Result<(), String> {
        let Files { sources, found, config_file, targets, variables, diagnostics, errors, .. } =
            files::read(&self.args)?;
        for error in &errors {
            self.log(WARNING, error)?;
        }
        let (config, platforms) = (config_file, platform::ALL);
        let inputs = lsp::Inputs { sources, found, config, targets, variables, diagnostics, platforms };
        let told = self.workspace.take().map(Workspace::into_live).unwrap_or_default();
        let mut workspace = Workspace::new(inputs);
        workspace.set_live(told);
        self.workspace = Some(workspace);
        self.refresh();
        Ok(())
    }

    /// Takes over what was read from a snapshot.
    fn refreshed(&mut self, loaded: Result<Loaded, String>) -> Result<(), String> {
        match self.live.take(loaded) {
            Ok((told, notes)) => {
                for note in &notes {
                    self.log(WARNING, note)?;
                }
                if let Some(view) = self.live.view() {
                    self.log(INFO, &view.summary())?;
                }
                if let Some(workspace) = self.workspace.as_mut() {
                    workspace.set_live(told);
                }
                self.publish()?;
                if self.hints_refresh {
                    self.asked += 1;
                    let method = "workspace/inlayHint/refresh".to_owned();
                    let request = Request { id: self.asked.into(), method, params: Value::Null };
                    self.send(Message::Request(request))?;
                }
                Ok(())
            }
            Err(problem) => {
                let parameters = json!({"type": WARNING, "message": format!("no live values: {problem}")});
                let method = "window/showMessage".to_owned();
                self.send(Message::Notification(Notification { method, params: parameters }))
            }
        }
    }

    /// Waits until the snapshot was read that is being read.
    fn settle(&mut self) -> Result<(), String> {
        while let Some(loaded) = self.live.wait() {
            self.refreshed(loaded)?;
        }
        Ok(())
    }

    /// Gives the workspace the texts of the editor.
    fn refresh(&mut self) {
        let Some(workspace) = self.workspace.as_mut() else { return };
        let is_manifest = |path: &str| {
            let path = Path::new(path);
            let is_below = self.args.paths.iter().any(|root| path.starts_with(root));
            is_below && path.extension().is_some_and(|end| end == "yaml" || end == "yml")
        };
        let texts = self.open.iter().filter(|(path, text)| match workspace.text(path) {
            Some(known) => known != *text,
            None => is_manifest(path) && !Path::new(&***path).exists(),
        });
        let texts: Vec<_> = texts.map(|(path, text)| (path.clone(), text.clone())).collect();
        if !texts.is_empty() {
            workspace.change(texts);
        }
    }

    /// Sends the diagnostics of files where they are others than the editor has.
    fn publish(&mut self) -> Result<(), String> {
        let Some(workspace) = &self.workspace else { return Ok(()) };
        let now = workspace.diagnostics();
        let gone = self.published.keys().filter(|path| !now.contains_key(*path)).map(|path| (path, &[][..]));
        let new = now.iter().filter(|(path, all)| self.published.get(*path) != Some(*all));
        for (path, diagnostics) in gone.chain(new.map(|(path, all)| (path, all.as_slice()))) {
            let parameters = json!({"uri": lsp::uri(path), "diagnostics": diagnostics});
            self.send(Message::Notification(Notification {
                method: "textDocument/publishDiagnostics".to_owned(),
                params: parameters,
            }))?;
        }
        self.published = now;
        Ok(())
    }

    fn answer(&mut self, request: Request) -> Result<(), String> {
        let Request { id, method, params } = request;
        match method.as_str() {
            "workspace/executeCommand" if params["command"] == REFRESH => {
                self.reload()?;
                self.live.start();
                self.settle()?;
            }
            "textDocument/hover" | "textDocument/codeAction" => self.settle()?,
            // The editor asks again once they are known.
            "textDocument/inlayHint" if !self.hints_refresh => self.settle()?,
            _ => {}
        }
        let response = match self.result(&method, &params) {
            Some(Ok(result)) => Response::new_ok(id, result),
            Some(Err(problem)) => Response::new_err(id, ErrorCode::RequestFailed as i32, problem),
            None => Response::new_err(id, ErrorCode::MethodNotFound as i32, format!("`{method}` is not known")),
        };
        self.send(Message::Response(response))
    }

    /// Returns the result of a request; `None` if its method is not known.
    fn result(&self, method: &str, parameters: &Value) -> Option<Result<Value, String>> {
        let workspace = self.workspace.as_ref()?;
        let path = parameters["textDocument"]["uri"].as_str().and_then(path_of).unwrap_or_default();
        let place = |position: &Value| {
            let number = |key: &str| position[key].as_u64().and_then(|number| usize::try_from(number).ok());
            (number("line").unwrap_or_default(), number("character").unwrap_or_default())
        };
        let (line, character) = place(&parameters["position"]);
        Some(match method {
            "textDocument/completion" => Ok(json!(workspace.complete(&path, line, character))),
            "textDocument/hover" => Ok(self.hover(workspace, &path, line, character)),
            "textDocument/inlayHint" => {
                let range = &parameters["range"];
                Ok(json!(workspace.hints(&path, place(&range["start"]).0, place(&range["end"]).0)))
            }
            "workspace/executeCommand" if parameters["command"] == REFRESH => {
                Ok(json!(self.live.view().map(live::LiveView::summary)))
            }
            "textDocument/definition" => Ok(json!(workspace.definition(&path, line, character))),
            "textDocument/references" => {
                let declaration = parameters["context"]["includeDeclaration"] == true;
                Ok(json!(workspace.references(&path, line, character, declaration)))
            }
            "textDocument/rename" => {
                let name = parameters["newName"].as_str().unwrap_or_default();
                workspace.rename(&path, line, character, name).map_err(|error| error.to_string())
            }
            "textDocument/codeAction" => {
                let range = &parameters["range"];
                let (start, end) = (place(&range["start"]), place(&range["end"]));
                let mut actions = workspace.actions(&path, start, end);
                if let (Some(view), Some(text)) = (self.live.view(), workspace.text(&path)) {
                    let (start, end) = (lsp::byte(text, start.0, start.1), lsp::byte(text, end.0, end.1));
                    actions.extend(view.adoptions(workspace, &path, start, end));
                }
                Ok(json!(actions))
            }
            _ => return None,
        })
    }

    /// Returns what is known of a place: what may be written there, and what is live.
    fn hover(&self, workspace: &Workspace, path: &str, line: usize, character: usize) -> Value {
        let live = self.live.view().and_then(|view| {
            let (file, byte) = workspace.compared_at(path, line, character)?;
            view.hover(file, byte)
        });
        let parts: Vec<String> = workspace.hover(path, line, character).into_iter().chain(live).collect();
        if parts.is_empty() {
            return Value::Null;
        }
        json!({"contents": {"kind": "markdown", "value": parts.join("\n\n---\n\n")}})
    }

    /// Writes a line to the editor's log.
    fn log(&self, severity: u8, text: &str) -> Result<(), String> {
        let parameters = json!({"type": severity, "message": text});
        self.send(Message::Notification(Notification { method: "window/logMessage".to_owned(), params: parameters }))
    }

    fn send(&self, message: Message) -> Result<(), String> {
        self.connection.sender.send(message).map_err(|error| error.to_string())
    }
}
