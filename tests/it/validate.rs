//! Problems that are found without any server.

use crate::harness::{Site, state};

const TEN: &str = "apiVersion: bk-cmdb/v1
kind: Instance
metadata: {name: a}
spec:
  modl: bk_switch
  match: {bk_inst_name: sw-1}
  fields: {ports: 1}
---
apiVersion: bk-cmdb/v2
kind: Instance
metadata: {name: b}
spec: {model: bk_switch, id: 1, fields: {}}
---
apiVersion: bk-cmdb/v1
kind: Modul
metadata: {name: c}
spec: {}
---
apiVersion: bk-cmdb/v1
kind: Instance
metadata: {name: d}
spec: {model: host, id: 1, fields: {x: 1}}
---
apiVersion: bk-cmdb/v1
kind: ProcessTemplate
metadata: {name: e}
spec:
  business: demo
  serviceTemplate: nginx
  process: nginx
  properties:
    user: root
    user: nginx
    proc_num: many
    bind_info:
      - {ip: 0.0.0.0, port: 80-70, protocol: tcp}
      - {ip: '::1', port: 80, protocol: tcp}
---
apiVersion: bk-cmdb/v1
kind: InstanceAssociation
metadata: {name: f}
spec:
  association: switch_rack
  source: {ref: 机柜-甲}
  targets: [{model: bk_rack, id: 21}]
---
apiVersion: roma-connect/v1
kind: App
metadata: {name: g}
spec: {app: 订单/服务, fields: {remark: x}}
";

#[test]
fn ten_mistakes_are_ten_diagnostics_and_no_call() {
    let site = Site::with(&state(), &[("ten.yaml", TEN)]);
    insta::assert_snapshot!(site.run(&["validate"]), @"
    ------- stderr -------
    error[Y202]: unknown key `modl` in the spec of an Instance
     --> ten.yaml:5:3
      |
    5 |   modl: bk_switch
      |   ^^^^
      |
      = help: did you mean `model`?

    error[M002]: apiVersion `bk-cmdb/v2` is not known to this version
     --> ten.yaml:9:13
      |
    9 | apiVersion: bk-cmdb/v2
      |             ^^^^^^^^^^
      |
      = help: write bk-cmdb/v1

    error[M003]: unknown kind `Modul`
      --> ten.yaml:15:7
       |
    15 | kind: Modul
       |       ^^^^^
       |
       = help: did you mean `Module`?

    error[M307]: `host` is a built-in model: not for Instance
      --> ten.yaml:22:15
       |
    22 | spec: {model: host, id: 1, fields: {x: 1}}
       |               ^^^^
       |
       = help: use kind `Host`

    error[Y006]: the key `user` is written twice
      --> ten.yaml:33:5
       |
    32 |     user: root
       |     ---- first written here
    33 |     user: nginx
       |     ^^^^ again

    error[Y205]: `proc_num` has to be a whole number, not a text
      --> ten.yaml:34:15
       |
    34 |     proc_num: many
       |               ^^^^

    error[M334]: `port` cannot be `80-70`: `80-70` runs backwards
      --> ten.yaml:36:29
       |
    36 |       - {ip: 0.0.0.0, port: 80-70, protocol: tcp}
       |                             ^^^^^
       |
       = help: such as 80, 8080-8090 or 80,443

    error[M332]: an IPv4 address goes with tcp or udp, an IPv6 one with tcp6 or udp6
      --> ten.yaml:37:41
       |
    37 |       - {ip: '::1', port: 80, protocol: tcp}
       |              ----- the address          ^^^

    error[M012]: there is no Instance called `机柜-甲`
      --> ten.yaml:44:17
       |
    44 |   source: {ref: 机柜-甲}
       |                 ^^^^^^^

    error[M402]: the name of an app takes letters, digits, Chinese characters, blanks and `-_.()（）`, not `/`
      --> ten.yaml:50:13
       |
    50 | spec: {app: 订单/服务, fields: {remark: x}}
       |             ^^^^^^^^^
    10 errors in 1 file
    [exit status: 1]
    ");
    for command in [&["validate"][..], &["plan"], &["apply", "-y"]] {
        let output = site.run(command);
        assert_eq!(output.code, Some(1), "{output}");
        assert_eq!(output.stderr.matches("error[").count(), 10, "{output}");
    }
    assert_eq!(site.sandbox().calls(), []);
    let report = site.run(&["validate", "-o", "json"]).json();
    assert_eq!(report["valid"], false);
    assert_eq!(report["diagnostics"].as_array().map(Vec::len), Some(10));
}

#[test]
fn columns_and_carets_are_right_behind_chinese_text() {
    let manifest = "apiVersion: roma-connect/v1
kind: App
metadata: {name: 订单服务}
spec: {app: 订单服务, fields: {remark: 开票与对账, 备注: x, favorite: 是}}
";
    let site = Site::with(&state(), &[("应用.yaml", manifest)]);
    insta::assert_snapshot!(site.run(&["validate"]), @"
    ------- stderr -------
    error[Y202]: unknown key `备注` in `fields`
     --> 应用.yaml:4:43
      |
    4 | spec: {app: 订单服务, fields: {remark: 开票与对账, 备注: x, favorite: 是}}
      |                                                    ^^^^
      |
      = help: known keys: favorite, name, remark

    error[Y206]: `favorite` has to be true or false, not a text
     --> 应用.yaml:4:60
      |
    4 | spec: {app: 订单服务, fields: {remark: 开票与对账, 备注: x, favorite: 是}}
      |                                                                       ^^
    2 errors in 1 file
    [exit status: 1]
    ");
    let report = site.run(&["validate", "-o", "json"]).json();
    let columns: Vec<_> =
        report["diagnostics"].as_array().expect("a list").iter().map(|row| row["at"]["column"].clone()).collect();
    let line: Vec<char> = manifest.lines().nth(3).expect("four lines").chars().collect();
    let column = |text: &str| {
        let text: Vec<char> = text.chars().collect();
        line.windows(text.len()).position(|window| window == text).expect("it is there") + 1
    };
    assert_eq!(columns, [column("备注"), column("是")]);
}

#[test]
fn what_is_not_yaml_is_told_with_its_place() {
    let site = Site::with(&state(), &[("a.yaml", "apiVersion: [bk-cmdb/v1\nkind: Instance\n")]);
    insta::assert_snapshot!(site.run(&["validate"]), @"
    ------- stderr -------
    error[Y001]: illegal placement of ':' indicator
     --> a.yaml:2:5
      |
    2 | kind: Instance
      |     ^
    1 error in 1 file
    [exit status: 1]
    ");
}

#[test]
fn scalars_are_those_of_yaml_1_2() {
    let manifest = "apiVersion: bk-cmdb/v1
kind: Instance
metadata: {name: no}
spec:
  model: bk_switch
  match: {bk_asset_id: A1}
  fields: {bk_sn: 0010, remark: on}
";
    let site = Site::with(&state(), &[("a.yaml", manifest)]);
    insta::assert_snapshot!(site.run(&["validate"]), @r#"
    valid: 1 object in 1 document
    ------- stderr -------
    warning[Y101]: `no` is a text, not a truth value
     --> a.yaml:3:18
      |
    3 | metadata: {name: no}
      |                  ^^
      |
      = help: write true or false, or "no" to say that the text is meant

    warning[Y102]: `0010` is a decimal number here, and an octal one to older readers
     --> a.yaml:7:19
      |
    7 |   fields: {bk_sn: 0010, remark: on}
      |                   ^^^^
      |
      = help: write "0010" for the text, or drop the zero

    warning[Y101]: `on` is a text, not a truth value
     --> a.yaml:7:33
      |
    7 |   fields: {bk_sn: 0010, remark: on}
      |                                 ^^
      |
      = help: write true or false, or "on" to say that the text is meant
    "#);
    let writes = site.apply();
    assert_eq!((&writes[0].body["bk_sn"], &writes[0].body["remark"]), (&"0010".into(), &"on".into()));
}

#[test]
fn an_unset_variable_is_an_error_at_its_place() {
    let manifest = "apiVersion: bk-cmdb/v1
kind: Instance
metadata: {name: a}
spec:
  model: bk_switch
  match: {bk_asset_id: A1}
  fields: {remark: \"备注 ${NOBODY}\", bk_sn: \"${SN:-7}\"}
";
    let site = Site::with(&state(), &[("a.yaml", manifest)]);
    insta::assert_snapshot!(site.run(&["validate"]), @r#"
    ------- stderr -------
    error[M013]: the variable `NOBODY` is not set
     --> a.yaml:7:24
      |
    7 |   fields: {remark: "备注 ${NOBODY}", bk_sn: "${SN:-7}"}
      |                          ^^^^^^^^^
      |
      = help: give it by --set NOBODY=…, --values FILE or RECONCILE_VAR_NOBODY, or write a default: ${NOBODY:-…}
    1 error in 1 file
    [exit status: 1]
    "#);
    let output = site.run(&["validate", "--set", "NOBODY=x"]);
    assert_eq!(output.code, Some(0), "{output}");
    let mut command = site.command(&["validate"]);
    command.env("RECONCILE_VAR_NOBODY", "x");
    let output = site.end(command, "");
    assert_eq!(output.code, Some(0), "{output}");
    // The environment itself is none of the manifests' business.
    let mut command = site.command(&["validate"]);
    command.env("NOBODY", "x");
    let output = site.end(command, "");
    assert_eq!(output.code, Some(1), "{output}");
}
