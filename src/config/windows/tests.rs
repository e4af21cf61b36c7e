use std::path::Path;

use crate::{config::decode, diagnostic::render, platform, source::Sources};

const HEAD: &str = "apiVersion: reconcile/v1
kind: Config
targets:
  cmdb:
    platform: bk-cmdb
    access: direct
    endpoint: http://cmdb.example.com
    auth: {username: admin}
";

/// Returns what is read of the windows, or what is wrong with them.
fn check(text: &str) -> String {
    let mut sources = Sources::default();
    let file = sources.add("reconcile.yaml", HEAD.to_owned() + text);
    let mut diagnostics = Vec::new();
    let config = decode(file, Path::new("reconcile.yaml"), platform::ALL, &sources, &mut diagnostics);
    if !diagnostics.is_empty() {
        return render::text(&diagnostics, &sources, false, 120);
    }
    let windows = config.windows.iter().map(|window| {
        let does = if window.allows { "allows" } else { "denies" };
        format!("{} {does} {:?} {:?}\n", window.name, window.duration, window.scope)
    });
    windows.chain(config.targets.iter().map(|target| format!("{:?} {:?}", target.policy, target.suspended))).collect()
}

#[test]
fn windows_are_read() {
    insta::assert_snapshot!(check("    policy: report
    suspend: {reason: moved, until: 2026-12-01T06:00:00+08:00}
windows:
  night: {allow: '0 22 * * *', duration: 8h, timeZone: Asia/Shanghai, target: [cm*, Instance/x], selector: 'site=sz,!lab'}
  freeze: {deny: 0 0 20 12 *, duration: 30d, target: cmdb}
"), @r#"
    night allows 28800s Scope { addresses: ["cm*", "Instance/x"], selector: Some(Selector { conditions: [Condition { key: "site", test: In(["sz"]) }, Condition { key: "lab", test: Missing }] }) }
    freeze denies 2592000s Scope { addresses: ["cmdb"], selector: None }
    Report Some(Suspension { reason: "moved", until: 2026-11-30T22:00:00Z })
    "#);
}

#[test]
fn mistakes_in_windows_are_shown() {
    insta::assert_snapshot!(check("    suspend: {reason: moved, until: tomorrow}
windows:
  neither: {duration: 8h}
  both: {allow: '0 22 * * *', deny: '0 22 * * *', duration: 8h}
  cron: {allow: '0 22 * *', duration: 8h}
  never: {allow: '0 0 30 2 *', duration: 8h}
  zone: {allow: '0 22 * * *', duration: 8h, timeZone: Asia/Shangai}
  long: {allow: '0 22 * * *', duration: 8 hours}
  scope: {allow: '0 22 * * *', duration: 8h, target: cmbd, selector: 'a b=c'}
  open: {allow: '0 22 * * *'}
"), @r#"
    error[Y210]: until cannot be `tomorrow`
     --> reconcile.yaml:9:37
      |
    9 |     suspend: {reason: moved, until: tomorrow}
      |                                     ^^^^^^^^
      |
      = help: write a time with its offset from UTC, such as 2026-12-01T06:00:00+08:00

    error[C014]: the window `neither` has neither `allow` nor `deny`
      --> reconcile.yaml:11:12
       |
    11 |   neither: {duration: 8h}
       |            ^^^^^^^^^^^^^^
       |
       = help: write `allow: "0 22 * * *"` or `deny: "0 22 * * *"`: when it opens

    error[C014]: the window `both` has both `allow` and `deny`
      --> reconcile.yaml:12:37
       |
    12 |   both: {allow: '0 22 * * *', deny: '0 22 * * *', duration: 8h}
       |                                     ^^^^^^^^^^^^
       |
       = help: make two windows of it

    error[C014]: `0 22 * *` is not a cron expression of five fields
      --> reconcile.yaml:13:17
       |
    13 |   cron: {allow: '0 22 * *', duration: 8h}
       |                 ^^^^^^^^^^
       |
       = help: write minute, hour, day of the month, month and day of the week, such as "0 22 * * 1-5" for 22:00 on Monday to Friday

    error[C014]: `0 0 30 2 *` fits no day
      --> reconcile.yaml:14:18
       |
    14 |   never: {allow: '0 0 30 2 *', duration: 8h}
       |                  ^^^^^^^^^^^^
       |
       = help: write minute, hour, day of the month, month and day of the week, such as "0 22 * * 1-5" for 22:00 on Monday to Friday

    error[C014]: there is no time zone `Asia/Shangai`
      --> reconcile.yaml:15:55
       |
    15 |   zone: {allow: '0 22 * * *', duration: 8h, timeZone: Asia/Shangai}
       |                                                       ^^^^^^^^^^^^
       |
       = help: write a name of the IANA database, such as Asia/Shanghai

    error[C007]: duration cannot be `8 hours`
      --> reconcile.yaml:16:41
       |
    16 |   long: {allow: '0 22 * * *', duration: 8 hours}
       |                                         ^^^^^^^
       |
       = help: write a duration such as 5m or 30s

    error[C014]: no target fits `cmbd`
      --> reconcile.yaml:17:54
       |
    17 |   scope: {allow: '0 22 * * *', duration: 8h, target: cmbd, selector: 'a b=c'}
       |                                                      ^^^^
       |
       = help: did you mean `cmdb`?

    error[C014]: `a b=c` is not a selector: expected key=value, key!=value, key in (a, b), key notin (a, b), key or !key, with commas between them
      --> reconcile.yaml:17:70
       |
    17 |   scope: {allow: '0 22 * * *', duration: 8h, target: cmbd, selector: 'a b=c'}
       |                                                                      ^^^^^^^

    error[Y203]: window open needs `duration`
      --> reconcile.yaml:18:10
       |
    18 |   open: {allow: '0 22 * * *'}
       |          ^^^^^
    "#);
}
