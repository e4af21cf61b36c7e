"""The same work with the vendors' own Python clients, one call after the other: list, compare, update.

    python_client.py ENDPOINT KIND N plan|apply
"""

import sys

PAGE = 500


def apps(endpoint, n, writes):
    from huaweicloudsdkcore.auth.credentials import BasicCredentials
    from huaweicloudsdkroma.v2 import ListRomaAppRequest, RomaClient, UpdateAppReq, UpdateRomaAppRequest

    credentials = BasicCredentials("AKEXAMPLE", "SKEXAMPLE", "p1")
    client = RomaClient.new_builder().with_credentials(credentials).with_endpoints([endpoint]).build()
    offset, live = 0, {}
    while True:
        page = client.list_roma_app(ListRomaAppRequest(instance_id="i1", offset=offset, limit=PAGE))
        live.update({app.name: app for app in page.apps})
        offset += len(page.apps)
        if offset >= page.total:
            break
    differ = 0
    for number in range(n):
        app = live[f"app-{number:06}"]
        remark = f"Orders of team {number % 97}, see the page of the service."
        if app.remark != remark:
            differ += 1
            if writes:
                body = UpdateAppReq(name=app.name, remark=remark, favorite=app.favorite)
                client.update_roma_app(UpdateRomaAppRequest(instance_id="i1", app_id=app.id, body=body))
    return differ


def instances(endpoint, n, writes):
    from bkapi_component.open.client import Client

    client = Client(endpoint=endpoint, bk_api_ver="v2")
    client.update_bkapi_authorization(bk_app_code="floor", bk_app_secret="floor", bk_username="admin")
    differ = 0
    for start in range(0, n, PAGE):
        page = {"start": start, "limit": PAGE, "sort": "bk_inst_id"}
        answer = client.cc.search_object_instances({"bk_obj_id": "m0", "page": page})
        for row in answer["data"]["info"]:
            owner = f"team-{(row['bk_inst_id'] - 1) % 97:02}"
            if row["owner"] != owner:
                differ += 1
                if writes:
                    client.cc.update_inst({"bk_obj_id": "m0", "bk_inst_id": row["bk_inst_id"], "owner": owner})
    return differ


def main():
    endpoint, kind, n, doing = sys.argv[1:]
    differ = {"apps": apps, "instances": instances}[kind](endpoint, int(n), doing == "apply")
    print(f"{differ} differ")


if __name__ == "__main__":
    main()
