"""Manifests and states of kinds that only the sandbox knows, all in sync: what of the memory each object costs."""

import json

# Documents of a file.
PER_FILE = 250
# Process templates of a service template, and modules of a set.
PER_PARENT = 20


def configuration(directory, endpoint):
    """Writes the configuration beside the manifests."""
    (directory / "reconcile.yaml").write_text(
        "apiVersion: reconcile/v1\nkind: Config\ntargets:\n"
        f'  cmdb: {{platform: bk-cmdb, access: esb, endpoint: "{endpoint}", '
        "auth: {appCode: floor, appSecret: {env: FLOOR_SECRET}, username: admin}}\n"
    )


def _write(directory, documents, state):
    (directory / "manifests").mkdir()
    size = 0
    for first in range(0, len(documents), PER_FILE):
        text = "---\n".join(documents[first : first + PER_FILE])
        size += len(text.encode())
        (directory / "manifests" / f"{first // PER_FILE:04}.yaml").write_text(text)
    (directory / "state.json").write_text(json.dumps({"bk-cmdb": {"version": "3.14"} | state}))
    return size


def _document(kind, name, spec):
    return f"apiVersion: bk-cmdb/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec:\n{spec}"


def _locked(value):
    return {"value": value, "as_default_value": True}


def _business(parents):
    """A business, its category, and as many sets and service templates."""
    return {
        "businesses": [{"bk_biz_id": 3, "bk_biz_name": "shop"}],
        "sets": [{"bk_set_id": 100 + n, "bk_set_name": f"set-{n:05}", "bk_biz_id": 3, "bk_parent_id": 3} for n in range(parents)],
        "service_categories": [
            {"id": 1, "name": "Default", "bk_biz_id": 0, "bk_parent_id": 0, "bk_root_id": 1, "is_built_in": True},
            {"id": 2, "name": "Default", "bk_biz_id": 0, "bk_parent_id": 1, "bk_root_id": 1, "is_built_in": True},
        ],
    }


def process_templates(directory, n):
    """Writes templates with eight properties and two rows of `bind_info` each."""
    parents = -(-n // PER_PARENT)
    rows, documents = [], []
    for number in range(n):
        name, parent = f"process-{number:06}", number // PER_PARENT
        row = {"protocol": _locked("1"), "enable": _locked(True)}
        binds = [
            row | {"row_id": 1, "ip": _locked("2"), "port": _locked(str(number % 50_000 + 1_000))},
            row | {"row_id": 2, "ip": _locked("1"), "port": _locked(str(number % 50_000 + 1_001))},
        ]
        values = {
            "bk_process_name": name, "bk_func_name": f"server-{number % 97}", "proc_num": number % 8 + 1,
            "work_path": f"/data/{name}", "user": "app", "priority": number % 90,
            "start_cmd": f"systemctl start {name}", "stop_cmd": f"systemctl stop {name}",
        }
        property = {key: _locked(value) for key, value in values.items()} | {"bind_info": _locked(binds)}
        rows.append(
            {"id": 1 + number, "bk_process_name": name, "bk_biz_id": 3, "service_template_id": 1 + parent, "property": property}
        )
        properties = "".join(f"    {key}: {json.dumps(value)}\n" for key, value in values.items() if key != "bk_process_name")
        spec = f"  business: shop\n  serviceTemplate: service-{parent:05}\n  process: {name}\n  properties:\n{properties}"
        spec += "    bind_info:\n"
        for ip, port in (("0.0.0.0", binds[0]["port"]), ("127.0.0.1", binds[1]["port"])):
            spec += f'      - {{ip: {ip}, port: "{port["value"]}", protocol: tcp, enable: true}}\n'
        documents.append(_document("ProcessTemplate", name, spec))
    templates = [
        {"id": 1 + n, "name": f"service-{n:05}", "bk_biz_id": 3, "service_category_id": 2} for n in range(parents)
    ]
    return _write(directory, documents, _business(1) | {"service_templates": templates, "process_templates": rows})


def modules(directory, n):
    """Writes modules with two fields each."""
    parents = -(-n // PER_PARENT)
    rows, documents = [], []
    for number in range(n):
        name, parent = f"module-{number:06}", number // PER_PARENT
        operator = f"operator-{number % 97}"
        rows.append({
            "bk_module_id": 1_000 + parents + number, "bk_module_name": name, "bk_set_id": 100 + parent, "bk_biz_id": 3,
            "bk_parent_id": 100 + parent, "bk_module_type": "1", "operator": operator, "bk_bak_operator": "admin",
            "service_category_id": 2, "service_template_id": 0,
        })
        spec = f"  business: shop\n  set: set-{parent:05}\n  module: {name}\n"
        spec += f"  fields: {{operator: [{operator}], bk_bak_operator: [admin]}}\n"
        documents.append(_document("Module", name, spec))
    user = {"bk_obj_id": "module", "bk_property_type": "objuser", "editable": True, "ismultiple": True}
    attributes = [user | {"bk_property_id": "operator"}, user | {"bk_property_id": "bk_bak_operator"}]
    return _write(directory, documents, _business(parents) | {"attributes": attributes, "modules": rows})


def associations(directory, n):
    """Writes associations of one switch with one rack each, by id and by name."""
    racks, switches, rows, documents = [], [], [], []
    for number in range(n):
        rack, switch = 1 + number, 1_000_001 + number
        racks.append({"bk_inst_id": rack, "bk_inst_name": f"rack-{number:06}"})
        switches.append({"bk_inst_id": switch, "bk_inst_name": f"switch-{number:06}"})
        rows.append({"id": 1 + number, "bk_obj_asst_id": "switch_in_rack", "bk_inst_id": switch, "bk_asst_inst_id": rack})
        spec = "  association: switch_in_rack\n"
        spec += f"  source: {{model: switch, match: {{bk_inst_name: switch-{number:06}}}}}\n"
        spec += f"  targets: [{{model: rack, id: {rack}}}]\n"
        documents.append(_document("InstanceAssociation", f"switch-{number:06}-rack", spec))
    state = {
        "objects": [{"bk_obj_id": "rack"}, {"bk_obj_id": "switch"}],
        "object_associations": [
            {"bk_obj_asst_id": "switch_in_rack", "bk_obj_id": "switch", "bk_asst_id": "in", "bk_asst_obj_id": "rack", "mapping": "n:n"}
        ],
        "instances": {"rack": racks, "switch": switches},
        "instance_associations": rows,
    }
    return _write(directory, documents, state)


STATES = {"process templates": process_templates, "modules": modules, "associations": associations}
