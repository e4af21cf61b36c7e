// Starts `reconcile lsp` for the YAML files of a workspace. All answers come from there.
"use strict";

const { workspace } = require("vscode");
const { LanguageClient } = require("vscode-languageclient/node");

let client;

function activate() {
  const settings = workspace.getConfiguration("reconcile");
  const server = { command: settings.get("path"), args: ["lsp", ...settings.get("arguments")] };
  const options = {
    documentSelector: [{ scheme: "file", language: "yaml" }],
    initializationOptions: { against: settings.get("against") || undefined },
    synchronize: { fileEvents: workspace.createFileSystemWatcher("**/*.{yaml,yml,json}") },
  };
  client = new LanguageClient("reconcile", "reconcile", server, options);
  return client.start();
}

function deactivate() {
  return client?.stop();
}

module.exports = { activate, deactivate };
