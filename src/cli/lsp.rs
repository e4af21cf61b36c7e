//! `reconcile lsp`: the Language Server Protocol on stdin and stdout.

use std::{
    collections::BTreeMap,
    error::Error,
    path::{Path, PathBuf},
    sync::Arc,
};

use lsp_server::{Connection, ErrorCode, Message, Notification, Request, Response};
use serde_json::{Value, json};

use super::{args::LspArgs, configuration, error::CommandError, exit::ExitStatus, inputs, setup};
use crate::{
    lsp::{self, Workspace},
    manifest, platform,
    source::Sources,
    version,
};

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
    let mut server = Server {
        args: located(args, &parameters)?,
        open: BTreeMap::new(),
        published: BTreeMap::new(),
        workspace: None,
        connection,
    };
    server.reload()?;
    server.publish()?;
    while let Ok(message) = connection.receiver.recv() {
        if let Message::Request(request) = &message
            && connection.handle_shutdown(request).map_err(|error| failed(&error))?
        {
            return Ok(());
        }
        server.take(message)?;
    }
    Ok(())
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
    })
}

/// Returns the arguments with absolute paths: without any, the directory that the editor opened is read.
fn located(args: &LspArgs, parameters: &Value) -> Result<super::args::Inputs, String> {
    let folder = parameters["workspaceFolders"][0]["uri"].as_str().or(parameters["rootUri"].as_str());
    let root = match folder.and_then(path_of) {
        Some(root) => PathBuf::from(root),
        None => std::env::current_dir().map_err(|error| format!("there is no current directory: {error}"))?,
    };
    let mut inputs = args.inputs.clone();
    let absolute = |path: &PathBuf| root.join(path);
    inputs.overlays = inputs.overlays.iter().map(absolute).collect();
    inputs.values = inputs.values.iter().map(absolute).collect();
    inputs.config = inputs.config.as_ref().map(absolute);
    let paths = inputs::paths(&inputs);
    inputs.files = Vec::new();
    inputs.paths =
        paths.iter().map(|path| if path == Path::new(".") { root.clone() } else { root.join(path) }).collect();
    Ok(inputs)
}

/// Returns the path of a `file:` address.
fn path_of(uri: &str) -> Option<String> {
    let path = uri.strip_prefix("file://")?;
    percent_encoding::percent_decode_str(path).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

struct Server<'a> {
    args: super::args::Inputs,
    /// The texts of the files that are open in the editor, by their paths.
    open: BTreeMap<Arc<str>, Arc<str>>,
    /// The diagnostics that the editor has, by the paths of files.
    published: BTreeMap<Arc<str>, Vec<Value>>,
    workspace: Option<Workspace>,
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
        let (mut sources, mut diagnostics) = (Sources::default(), Vec::new());
        let paths = &self.args.paths;
        let config = configuration::read(self.args.config.as_deref(), paths, &mut sources, &mut diagnostics)?;
        let config_file = config.as_ref().and_then(|_| sources.files().next());
        let secrets = config.clone();
        let variables = setup::variables(&self.args, &mut sources, &mut diagnostics)?
            .hiding(move || secrets.as_ref().map(crate::config::Config::known_secrets).unwrap_or_default());
        let skipped = setup::skipped(&self.args, config.as_ref());
        let search = manifest::Search {
            paths,
            skip: &skipped,
            overlays: &self.args.overlays,
            follow_links: self.args.follow_links,
        };
        let found = manifest::discover(&search, &mut std::io::empty(), &mut sources);
        for error in &found.errors {
            self.log(&inputs::explain(error))?;
        }
        let targets = configuration::targets(config.as_ref(), paths);
        let platforms = platform::ALL;
        self.workspace = Some(Workspace::new(lsp::Inputs {
            sources,
            found,
            config: config_file,
            targets,
            variables,
            diagnostics,
            platforms,
        }));
        self.refresh();
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

    fn answer(&self, request: Request) -> Result<(), String> {
        let Request { id, method, params } = request;
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
            "textDocument/hover" => Ok(json!(workspace.hover(&path, line, character))),
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
                Ok(json!(workspace.actions(&path, place(&range["start"]), place(&range["end"]))))
            }
            _ => return None,
        })
    }

    /// Writes a line to the editor's log.
    fn log(&self, text: &str) -> Result<(), String> {
        let parameters = json!({"type": 2, "message": text});
        self.send(Message::Notification(Notification { method: "window/logMessage".to_owned(), params: parameters }))
    }

    fn send(&self, message: Message) -> Result<(), String> {
        self.connection.sender.send(message).map_err(|error| error.to_string())
    }
}
