//! `reconcile validate`.

use super::{
    args::{Format, ValidateArgs},
    exit, setup,
    view::{Screen, json, text::count},
};

/// Checks offline.
pub(super) fn run(args: &ValidateArgs, screen: &Screen) -> u8 {
    let written = match setup::read(&args.inputs) {
        Ok(written) => written,
        Err(problem) => {
            screen.error(&problem);
            return exit::USAGE;
        }
    };
    if args.output == Format::Json {
        let document = json::problems(&written.diagnostics, &written.sources, &written.unread);
        Screen::out(&format!("{document:#}\n"));
    }
    if let Some(code) = setup::report(&written, screen) {
        return code;
    }
    if args.output == Format::Text {
        let (objects, documents) = (written.set.desired.len(), written.set.documents);
        Screen::out(&format!("valid: {} in {}\n", count(objects, "object"), count(documents, "document")));
    }
    exit::OK
}
