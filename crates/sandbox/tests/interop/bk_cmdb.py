"""The component client for BlueKing against a sandbox: argument 1 is its URL."""

import sys

from bkapi_component.open.client import Client


def client(secret="s1"):
    made = Client(endpoint=sys.argv[1], bk_api_ver="v2")
    made.update_bkapi_authorization(bk_app_code="app", bk_app_secret=secret, bk_username="admin")
    return made


def main():
    cc = client().cc

    def call(name, **body):
        answer = getattr(cc, name)(body)
        assert answer["result"] is True and answer["code"] == 0, (name, answer)
        assert answer["request_id"], (name, answer)
        return answer["data"]

    def refused(name, code, **body):
        answer = getattr(cc, name)(body)
        assert (answer["result"], answer["code"], answer["data"]) == (False, code, None), (name, answer)

    found = call("search_business", fields=["bk_biz_id", "bk_biz_name"], condition={"bk_biz_name": "demo"})
    assert found["info"][0]["bk_biz_id"] == 3, found
    assert call("search_set", bk_biz_id=3)["count"] == 1
    assert call("search_module", bk_biz_id=3, bk_set_id=5)["info"][0]["bk_module_id"] == 7
    assert call("search_objects", bk_obj_id="rack")[0]["bk_obj_id"] == "rack"
    assert {"room"} <= {row["bk_property_id"] for row in call("search_object_attribute", bk_obj_id="rack")}
    assert call("find_object_association", condition={"bk_obj_asst_id": "rack_next_rack"})[0]["mapping"] == "n:n"

    def rack(number):
        rule = {"field": "bk_inst_id", "operator": "equal", "value": number}
        tree = {"condition": "AND", "rules": [rule]}
        page = {"start": 0, "limit": 500, "sort": "bk_inst_id"}
        return call("search_object_instances", bk_obj_id="rack", conditions=tree, page=page)["info"]

    assert rack(1)[0]["room"] == "a" and rack(99) is None
    assert call("update_inst", bk_obj_id="rack", bk_inst_id=1, room=" b ") is None
    assert (rack(1)[0]["room"], rack(1)[0]["bk_updated_by"]) == ("b", "admin")
    refused("update_inst", 1199019, bk_obj_id="rack", bk_inst_id=99, room="b")
    created = call("create_inst", bk_obj_id="rack", bk_inst_name="机架 3")
    refused("create_inst", 1199014, bk_obj_id="rack", bk_inst_name="机架 3")

    call("update_module", bk_biz_id=3, bk_set_id=5, bk_module_id=7, data={"operator": "ann"})
    assert call("find_module_batch", bk_biz_id=3, bk_ids=[7], fields=["operator"])[0]["operator"] == "ann"
    refused("update_module", 1199019, bk_biz_id=3, bk_set_id=6, bk_module_id=7, data={})

    ends = {"bk_obj_asst_id": "rack_next_rack", "bk_inst_id": 1, "bk_asst_inst_id": created["bk_inst_id"]}
    link = call("add_instance_association", **ends)["id"]
    refused("add_instance_association", 1199014, **ends)
    refused("delete_inst", 1101075, bk_obj_id="rack", bk_inst_id=1)
    rows = call("find_instance_association", bk_obj_id="rack", condition={"bk_obj_asst_id": "rack_next_rack"})
    assert [row["id"] for row in rows] == [link], rows
    call("delete_instance_association", bk_obj_id="rack", id=link)

    port = {"port": {"value": "80", "as_default_value": True}, "protocol": {"value": "1", "as_default_value": True}}
    properties = {"bind_info": {"value": [port], "as_default_value": True}, "proc_num": {"value": 2, "as_default_value": True}}
    template = call("update_proc_template", bk_biz_id=3, process_template_id=1, process_property=properties)
    assert template["property"]["bind_info"]["value"][0]["row_id"] == 1, template
    listed = call("list_proc_template", bk_biz_id=3, service_template_id=1)
    assert listed["info"][0]["property"]["proc_num"]["value"] == 2, listed
    refused("update_proc_template", 1199000, bk_biz_id=3, process_template_id=1, process_property={"proc_num": 3})
    # A component that is called by GET, with its arguments in the query.
    assert call("get_service_template", service_template_id=1)["name"] == "web"

    answer = client("wrong").cc.search_business({})
    assert (answer["result"], answer["code"]) == (False, 1306406), answer


main()
