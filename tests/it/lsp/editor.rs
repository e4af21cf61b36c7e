//! An editor of the tests, which speaks the protocol with the real program.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    process::{Child, ChildStdin, ChildStdout, Stdio},
};

use serde_json::{Value, json};

use crate::harness::Site;

/// An editor with one server.
pub(super) struct Editor<'a> {
    site: &'a Site,
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    last: u64,
    /// Notifications that came while an answer was awaited.
    waiting: Vec<Value>,
}

impl<'a> Editor<'a> {
    pub(super) fn start(site: &'a Site, arguments: &[&str]) -> Self {
        Self::open_with(site, arguments, &json!({}))
    }

    /// Starts a server with more to initialize it with.
    pub(super) fn open_with(site: &'a Site, arguments: &[&str], more: &Value) -> Self {
        let mut command = site.command(&[&["lsp"], arguments].concat());
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().expect("it starts");
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().expect("it was piped")));
        let mut editor = Self { site, child, input, output, last: 0, waiting: Vec::new() };
        let root = format!("file://{}", site.path().display());
        let mut parameters = json!({"rootUri": root, "capabilities": {}});
        parameters.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
        let result = editor.ask("initialize", &parameters);
        assert_eq!(result["capabilities"]["hoverProvider"], true, "{result}");
        editor.tell("initialized", &json!({}));
        editor
    }

    fn send(&mut self, message: &Value) {
        let text = message.to_string();
        let input = self.input.as_mut().expect("it is open");
        write!(input, "Content-Length: {}\r\n\r\n{text}", text.len()).and_then(|()| input.flush()).expect("it is read");
    }

    fn receive(&mut self) -> Value {
        let mut length = 0;
        loop {
            let mut line = String::new();
            assert_ne!(self.output.read_line(&mut line).expect("it is text"), 0, "the server went away");
            match line.trim().split_once(": ") {
                Some(("Content-Length", number)) => length = number.parse().expect("a number"),
                _ if line.trim().is_empty() => break,
                _ => {}
            }
        }
        let mut body = vec![0; length];
        self.output.read_exact(&mut body).expect("it is whole");
        serde_json::from_slice(&body).expect("it is JSON")
    }

    pub(super) fn answer(&mut self, method: &str, parameters: &Value) -> Value {
        self.last += 1;
        let id = self.last;
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": parameters}));
        loop {
            let message = self.receive();
            if message["id"] == id {
                return message;
            }
            self.waiting.push(message);
        }
    }

    pub(super) fn ask(&mut self, method: &str, parameters: &Value) -> Value {
        let answer = self.answer(method, parameters);
        assert!(answer["error"].is_null(), "{method}: {answer}");
        answer["result"].clone()
    }

    pub(super) fn tell(&mut self, method: &str, parameters: &Value) {
        self.send(&json!({"jsonrpc": "2.0", "method": method, "params": parameters}));
    }

    pub(super) fn uri(&self, file: &str) -> String {
        format!("file://{}", self.site.path().join(file).display())
    }

    pub(super) fn open(&mut self, file: &str) -> String {
        let text = std::fs::read_to_string(self.site.path().join(file)).expect("it is there");
        let document = json!({"uri": self.uri(file), "languageId": "yaml", "version": 1, "text": text});
        self.tell("textDocument/didOpen", &json!({"textDocument": document}));
        text
    }

    pub(super) fn change(&mut self, file: &str, text: &str) {
        let document = json!({"uri": self.uri(file), "version": 2});
        self.tell("textDocument/didChange", &json!({"textDocument": document, "contentChanges": [{"text": text}]}));
    }

    /// Returns the next diagnostics of a file.
    pub(super) fn diagnostics(&mut self, file: &str) -> Vec<Value> {
        let uri = self.uri(file);
        loop {
            let is_it = |message: &Value| message["params"]["uri"] == uri;
            let message = match self.waiting.iter().position(is_it) {
                Some(at) => self.waiting.remove(at),
                None => self.receive(),
            };
            if message["method"] == "textDocument/publishDiagnostics" && is_it(&message) {
                return message["params"]["diagnostics"].as_array().cloned().unwrap_or_default();
            }
        }
    }

    /// Saves a text, as an editor does.
    pub(super) fn save(&mut self, file: &str, text: &str) {
        self.site.write(file, text);
        self.tell("textDocument/didSave", &json!({"textDocument": {"uri": self.uri(file)}}));
    }

    /// Asks about the place of a text that is marked with `|`, which is not part of the text.
    pub(super) fn at(&mut self, method: &str, file: &str, marked: &str, more: &[(&str, Value)]) -> Value {
        let byte = marked.find('|').expect("a place is marked");
        let text = marked.replacen('|', "", 1);
        self.change(file, &text);
        let line = text[..byte].matches('\n').count();
        let start = text[..byte].rfind('\n').map_or(0, |at| at + 1);
        let character = text[start..byte].encode_utf16().count();
        let position = json!({"line": line, "character": character});
        let mut parameters = json!({"textDocument": {"uri": self.uri(file)}, "position": position});
        for (key, value) in more {
            parameters[*key] = value.clone();
        }
        self.answer(method, &parameters)
    }

    pub(super) fn labels(&mut self, file: &str, marked: &str) -> Vec<String> {
        let answer = self.at("textDocument/completion", file, marked, &[]);
        let items = answer["result"].as_array().cloned().unwrap_or_default();
        items.iter().filter_map(|item| item["label"].as_str().map(str::to_owned)).collect()
    }

    /// Ends the server as an editor does.
    pub(super) fn end(mut self) {
        self.ask("shutdown", &Value::Null);
        self.tell("exit", &Value::Null);
        drop(self.input.take());
        assert!(self.child.wait().expect("it ends").success());
        assert_eq!(self.site.sandbox().calls().len(), 0, "an editor causes no call");
    }
}
