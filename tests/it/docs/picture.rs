//! The picture of a plan in the README: the coloured output of the real program, as SVG.

use std::fmt::Write;

use regex::Regex;

use super::{is_update, read, root};
use crate::harness::program;

/// The width of a letter, in tenths of a pixel.
const WIDTH: usize = 84;
/// The height of a line, in pixels.
const HEIGHT: usize = 19;

/// Returns the style of text for a code of a terminal; `None` if it ends all styles.
fn style(code: &str) -> Option<&'static str> {
    match code {
        "1" => Some("font-weight:bold"),
        "2" | "90" => Some("fill:#8b949e"),
        "31" | "91" => Some("fill:#ff7b72"),
        "32" | "92" => Some("fill:#7ee787"),
        "33" | "93" => Some("fill:#e3b341"),
        "34" | "94" => Some("fill:#79c0ff"),
        "35" | "95" => Some("fill:#d2a8ff"),
        "36" | "96" => Some("fill:#76e3ea"),
        _ => None,
    }
}

/// Draws lines with colours of a terminal.
fn draw(lines: &[&str]) -> String {
    let escape = Regex::new("\u{1b}\\[([0-9;]*)m").expect("the expression is right");
    let widest = lines.iter().map(|line| escape.replace_all(line, "").chars().count()).max().unwrap_or_default();
    let (width, height) = (widest * WIDTH / 10 + 32, lines.len() * HEIGHT + 28);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" role=\"img\" \
         aria-label=\"A plan\">\n<rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#0d1117\"/>\n\
         <g font-family=\"ui-monospace, SFMono-Regular, Menlo, Consolas, monospace\" font-size=\"14\" fill=\"#e6edf3\" \
         xml:space=\"preserve\">\n"
    );
    let mut styles: Vec<&str> = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let _ = write!(svg, "<text x=\"16\" y=\"{}\">", number * HEIGHT + 26);
        let mut at = 0;
        let mut column = 0;
        let mut piece = |text: &str, styles: &[&str], svg: &mut String| {
            if !text.is_empty() {
                let x = column * WIDTH + 160;
                let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
                let _ =
                    write!(svg, "<tspan x=\"{}.{}\" style=\"{}\">{escaped}</tspan>", x / 10, x % 10, styles.join(";"));
                column += text.chars().count();
            }
        };
        for found in escape.captures_iter(line) {
            let whole = found.get(0).expect("it was found");
            piece(&line[at..whole.start()], &styles, &mut svg);
            at = whole.end();
            for code in found[1].split(';') {
                match style(code) {
                    Some(style) => styles.push(style),
                    None => styles.clear(),
                }
            }
        }
        piece(&line[at..], &styles, &mut svg);
        svg.push_str("</text>\n");
    }
    svg.push_str("</g>\n</svg>\n");
    svg.replace(" style=\"\"", "")
}

#[test]
fn the_picture_shows_what_the_program_prints() {
    let mut command = program();
    command.current_dir(root().join("examples/manifests"));
    command.args(["plan", "processes/web.yaml", "--sandbox", "--color", "always", "--target", "ProcessTemplate/nginx"]);
    let output = command.output().expect("the program runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("output is UTF-8");
    let time = Regex::new(r"\d+\.\d\d s\b").expect("the expression is right");
    let text = format!("$ reconcile plan\n{}", time.replace_all(text.trim_end(), "0.01 s"));
    let picture = draw(&text.lines().collect::<Vec<_>>());
    let path = root().join("docs/src/plan.svg");
    if is_update() {
        std::fs::write(&path, &picture).expect("it can be written");
    }
    assert_eq!(read(&path), picture, "run `just pictures`");
}
