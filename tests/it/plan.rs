//! Reads and output of `plan`.

use serde_json::{Value, json};

use crate::harness::{Site, state, switch};

/// Checks the plan of manifests against a state: stdout, stderr and exit code as one text.
fn check(state: &Value, manifests: &[&str]) -> String {
    let site = Site::with(state, &[("all.yaml", &manifests.join("\n---\n"))]);
    site.plan().to_string()
}

const RACK: &str = "apiVersion: bk-cmdb/v1
kind: Instance
metadata: {name: rack}
spec:
  model: bk_rack
  match: {bk_inst_name: 机柜-2}
  fields: {bk_inst_name: 深圳-机柜-02, units: 48}
";

#[test]
fn shows_the_place_of_every_changed_field() {
    let new = "apiVersion: bk-cmdb/v1
kind: Instance
metadata: {name: new}
spec:
  ensure: present
  model: bk_switch
  match: {bk_inst_name: sw-9}
  fields:
    ports: 48
    remark: |
      first line
      second line
";
    let link = "apiVersion: bk-cmdb/v1
kind: InstanceAssociation
metadata: {name: racks}
spec:
  association: switch_rack
  source: {ref: new}
  targets: [{ref: rack}, {model: bk_rack, id: 21}]
";
    let app = "apiVersion: roma-connect/v1
kind: App
metadata: {name: orders}
spec:
  app: orders
  fields: {remark: 订单 and more, favorite: false}
";
    insta::assert_snapshot!(check(&state(), &[RACK, new, link, app]), @r#"
    + Instance new  (cmdb)                                              all.yaml:10
        bk_inst_name   "sw-9"                                           all.yaml:16:25
        ports          48                                               all.yaml:18:12
        remark         (text)                                           all.yaml:20:7
            + first line
            + second line
    ~ Instance rack  (cmdb, bk_rack #22)                                all.yaml:1
        bk_inst_name   "机柜-2" → "深圳-机柜-02"                        all.yaml:7:26
        units          42 → 48                                          all.yaml:7:43
    + InstanceAssociation racks → bk_rack #21  (cmdb)                   all.yaml:30
    + InstanceAssociation racks → rack  (cmdb)                          all.yaml:30
    ~ App orders  (roma, app a1)                                        all.yaml:33
        remark         "orders" → "订单 and more"                       all.yaml:38:20

    Plan: 3 to add, 2 to update, 0 to delete, 0 unchanged.   5 calls, 10 reads, [time]
    [exit status: 2]
    "#);
}

/// Documents each of which names something that is not there.
fn misnamed() -> String {
    let module = "apiVersion: bk-cmdb/v1
kind: Module
metadata: {name: web}
spec: {business: demo, set: public, module: wbe, fields: {operator: alice}}
";
    let set = module.replace("name: web", "name: web2").replace("set: public", "set: pubic");
    let business = module.replace("name: web", "name: web3").replace("demo", "dem0");
    let process = "apiVersion: bk-cmdb/v1
kind: ProcessTemplate
metadata: {name: nginx}
spec: {business: demo, serviceTemplate: nginx, process: ngnix, properties: {proc_num: 4}}
";
    let template =
        process.replace("name: nginx", "name: nginx2").replace("serviceTemplate: nginx", "serviceTemplate: nginx1");
    let app = "apiVersion: roma-connect/v1
kind: App
metadata: {name: orders}
spec: {app: order, fields: {remark: x}}
";
    let link = "apiVersion: bk-cmdb/v1
kind: InstanceAssociation
metadata: {name: racks}
spec:
  association: switch_rak
  source: {model: bk_switch, id: 1}
  targets: [{model: bk_rack, id: 21}]
";
    let no_rack = link.replace("racks", "racks2").replace("switch_rak", "switch_rack");
    let no_rack = no_rack.replace("id: 21", "match: {bk_inst_name: rack-11}");
    let instance = switch("typo", "bk_inst_name: sw1", "ports: 48");
    let model = switch("model", "bk_inst_name: sw-1", "ports: 48").replace("bk_switch", "bk_swich");
    let field = switch("field", "bk_inst_name: sw-2", "port: 48");
    let manifests = [&*instance, &field, &model, module, &set, &business, process, &template, app, link, &no_rack]
        .map(|text| text.trim_end_matches("---\n"));
    manifests.join("\n---\n")
}

#[test]
fn names_that_match_nothing_come_with_the_nearest() {
    insta::assert_snapshot!(check(&state(), &[&misnamed()]), @"
    Plan: 0 to add, 0 to update, 0 to delete, 0 unchanged, 11 blocked.   0 calls, 25 reads, [time]
    ------- stderr -------
    error[P100]: Instance/typo does not exist
     --> all.yaml:6:25
      |
    6 |   match: {bk_inst_name: sw1}
      |                         ^^^
      |
      = help: did you mean `sw-1`?

    error[P103]: the model has no attribute `port`
      --> all.yaml:16:12
       |
    16 |   fields: {port: 48}
       |            ^^^^
       |
       = help: did you mean `ports`?

    error[P102]: the model `bk_swich` does not exist
      --> all.yaml:23:10
       |
    23 |   model: bk_swich
       |          ^^^^^^^^
       |
       = help: write the id of the model (`bk_obj_id`), such as `bk_switch`, and not its name

    error[P100]: Module/web does not exist
      --> all.yaml:31:45
       |
    31 | spec: {business: demo, set: public, module: wbe, fields: {operator: alice}}
       |                                             ^^^
       |
       = help: did you mean `web`?

    error[P109]: no set is named `pubic`
      --> all.yaml:37:29
       |
    37 | spec: {business: demo, set: pubic, module: wbe, fields: {operator: alice}}
       |                             ^^^^^
       |
       = help: did you mean `public`?

    error[P101]: no business is named `dem0`
      --> all.yaml:43:18
       |
    43 | spec: {business: dem0, set: public, module: wbe, fields: {operator: alice}}
       |                  ^^^^
       |
       = help: did you mean `demo`?

    error[P100]: ProcessTemplate/nginx does not exist
      --> all.yaml:49:57
       |
    49 | spec: {business: demo, serviceTemplate: nginx, process: ngnix, properties: {proc_num: 4}}
       |                                                         ^^^^^
       |
       = help: did you mean `nginx`?

    error[P111]: no service template is named `nginx1`
      --> all.yaml:55:41
       |
    55 | spec: {business: demo, serviceTemplate: nginx1, process: ngnix, properties: {proc_num: 4}}
       |                                         ^^^^^^
       |
       = help: did you mean `nginx`?

    error[P100]: App/orders does not exist
      --> all.yaml:61:13
       |
    61 | spec: {app: order, fields: {remark: x}}
       |             ^^^^^
       |
       = help: did you mean `orders`?

    error[P122]: no association between models is named `switch_rak`
      --> all.yaml:68:16
       |
    68 |   association: switch_rak
       |                ^^^^^^^^^^
       |
       = help: did you mean `switch_rack`?

    error[P121]: no instance of `bk_rack` fits
      --> all.yaml:79:52
       |
    79 |   targets: [{model: bk_rack, match: {bk_inst_name: rack-11}}]
       |                                                    ^^^^^^^
       |
       = help: did you mean `rack-1`?
    [exit status: 1]
    ");
}

#[test]
fn what_matches_several_objects_is_an_error() {
    let several = switch("several", "operator: alice, ports: 24", "remark: x");
    let same = [switch("one", "bk_inst_name: sw-1", "remark: x"), switch("two", "bk_asset_id: A1", "remark: y")];
    insta::assert_snapshot!(check(&state(), &[several.trim_end_matches("---\n"), &same.concat()]), @"
    Plan: 0 to add, 0 to update, 0 to delete, 0 unchanged, 3 blocked.   0 calls, 4 reads, [time]
    ------- stderr -------
    error[P105]: Instance/several could mean several live objects: bk_switch #2, bk_switch #3
     --> all.yaml:6:21
      |
    6 |   match: {operator: alice, ports: 24}
      |                     ^^^^^
      |
      = help: give its id; a swap takes two applies with a third value between them

    error[P105]: Instance/one means the same live object as another document
      --> all.yaml:10:1
       |
    10 | apiVersion: bk-cmdb/v1
       | ^^^^^^^^^^^^^^^^^^^^^^
    ...
    18 | apiVersion: bk-cmdb/v1
       | ---------------------- Instance/two means it too

    error[P105]: Instance/two means the same live object as another document
      --> all.yaml:18:1
       |
    10 | apiVersion: bk-cmdb/v1
       | ---------------------- Instance/one means it too
    ...
    18 | apiVersion: bk-cmdb/v1
       | ^^^^^^^^^^^^^^^^^^^^^^
    [exit status: 1]
    ");
}

#[test]
fn one_that_is_wrong_leaves_the_others_in_the_plan() {
    let wrong = switch("wrong", "bk_inst_name: nothing-like-it", "ports: 48");
    let link = "apiVersion: bk-cmdb/v1
kind: InstanceAssociation
metadata: {name: link}
spec:
  association: switch_rack
  source: {ref: wrong}
  targets: [{ref: rack}]
";
    insta::assert_snapshot!(check(&state(), &[wrong.trim_end_matches("---\n"), link, RACK]), @r#"
    ~ Instance rack  (cmdb, bk_rack #22)                                all.yaml:19
        bk_inst_name   "机柜-2" → "深圳-机柜-02"                        all.yaml:25:26
        units          42 → 48                                          all.yaml:25:43

    ! InstanceAssociation link → rack is blocked: it needs Instance/wrong  all.yaml:16
    Plan: 0 to add, 1 to update, 0 to delete, 0 unchanged, 2 blocked.   1 call, 7 reads, [time]
    ------- stderr -------
    error[P100]: Instance/wrong does not exist
     --> all.yaml:6:25
      |
    6 |   match: {bk_inst_name: nothing-like-it}
      |                         ^^^^^^^^^^^^^^^
      |
      = help: `ensure: existing` is the default: the object has to be there
    [exit status: 1]
    "#);
}

#[test]
fn equal_in_another_spelling_is_no_change() {
    let mut state = state();
    state["bk-cmdb"]["instances"]["bk_switch"][0]["operator"] = json!("alice,bob");
    state["bk-cmdb"]["instances"]["bk_switch"][0]["bk_sn"] = json!("0042");
    state["bk-cmdb"]["instances"]["bk_switch"][0]["remark"] = json!("two\nlines");
    let text = "apiVersion: bk-cmdb/v1
kind: Instance
metadata: {name: a}
spec:
  model: bk_switch
  match: {bk_asset_id: A1}
  fields:
    operator: [bob, alice]
    bk_sn: 0042
    ports: '24'
    remark: |
      two
      lines
";
    insta::assert_snapshot!(check(&state, &[text]), @r#"
    Plan: 0 to add, 0 to update, 0 to delete, 1 unchanged.   0 calls, 2 reads, [time]
    ------- stderr -------
    warning[Y102]: `0042` is a decimal number here, and an octal one to older readers
     --> all.yaml:9:12
      |
    9 |     bk_sn: 0042
      |            ^^^^
      |
      = help: write "0042" for the text, or drop the zero
    "#);
}

#[test]
fn selects_by_label_address_and_target() {
    let labelled = |name: &str, site: &str| {
        switch(name, &format!("bk_inst_name: {name}"), "ports: 48")
            .replace("}\nspec", &format!(", labels: {{site: {site}}}}}\nspec"))
    };
    let app =
        "apiVersion: roma-connect/v1\nkind: App\nmetadata: {name: orders}\nspec: {app: orders, fields: {remark: x}}\n";
    let site = Site::with(
        &state(),
        &[
            ("a.yaml", &[labelled("sw-1", "sz"), labelled("sw-2", "bj"), labelled("sw-3", "sz")].concat()),
            ("b.yaml", app),
        ],
    );
    let check = |arguments: &[&str], expected: &[&str]| {
        let arguments: Vec<_> = ["plan", "-o", "json"].iter().chain(arguments).copied().collect();
        let output = site.run(&arguments);
        let plan = output.json();
        let addresses: Vec<_> =
            plan["changes"].as_array().expect("changes").iter().filter_map(|row| row["address"].as_str()).collect();
        assert_eq!(addresses, expected, "{arguments:?}: {output}");
    };
    check(&[], &["Instance/sw-1", "Instance/sw-2", "Instance/sw-3", "App/orders"]);
    check(&["-l", "site=sz"], &["Instance/sw-1", "Instance/sw-3"]);
    check(&["--selector", "site!=sz"], &["Instance/sw-2", "App/orders"]);
    check(&["-l", "site in (sz, bj)"], &["Instance/sw-1", "Instance/sw-2", "Instance/sw-3"]);
    check(&["-l", "site notin (sz, sh)"], &["Instance/sw-2", "App/orders"]);
    check(&["-l", "site in (sz,bj),site!=sz"], &["Instance/sw-2"]);
    check(&["-l", "!site"], &["App/orders"]);
    check(&["--target", "Instance/sw-2"], &["Instance/sw-2"]);
    check(&["--target", "Instance/sw-*", "--exclude", "*/sw-2"], &["Instance/sw-1", "Instance/sw-3"]);
    check(&["--target", "roma"], &["App/orders"]);
    check(&["--exclude", "roma", "-l", "site=sz", "--exclude", "Instance/sw-1"], &["Instance/sw-3"]);
    // Targets that are left out need no credentials.
    std::fs::remove_file(site.path().join("app-secret.txt")).expect("it was there");
    check(&["--target", "roma"], &["App/orders"]);
    let output = site.run(&["plan"]);
    assert_eq!(output.code, Some(5), "{output}");
}

#[test]
fn the_order_of_files_does_not_matter() {
    let (first, second) =
        (switch("x", "bk_inst_name: sw-1", "ports: 48"), switch("y", "bk_inst_name: sw-2", "ports: 48"));
    let plan = |files: &[(&str, &str)]| {
        let site = Site::with(&state(), files);
        let mut plan = site.run(&["plan", "-o", "json"]).json();
        // Places are those of the files.
        for call in plan["calls"].as_array_mut().expect("calls") {
            call["because"].take();
        }
        (plan["calls"].clone(), plan["summary"].clone())
    };
    assert_eq!(plan(&[("a.yaml", &first), ("b.yaml", &second)]), plan(&[("a.yaml", &second), ("b.yaml", &first)]));
}
