"""The official SDK for ROMA Connect against a sandbox: argument 1 is its URL."""

import sys

from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkroma.v2 import (
    AddUserToApp,
    AddUserToAppRequest,
    CheckAuthUsersOfAppRequest,
    CheckCanAuthUsersOfAppRequest,
    CheckRomaAppDetailsRequest,
    CheckRomaAppSecretRequest,
    CheckRomaInstanceListV2Request,
    CreateAppReq,
    CreateRomaAppRequest,
    DeleteRomaAppRequest,
    ListRomaAppRequest,
    ResetRomaAppSecretRequest,
    RomaClient,
    UpdateAppReq,
    UpdateAppSecretReq,
    UpdateRomaAppRequest,
    ValidateRomaAppRequest,
)

INSTANCE = "i1"


def client(ak, sk):
    credentials = BasicCredentials(ak, sk, "p1")
    return RomaClient.new_builder().with_credentials(credentials).with_endpoints([sys.argv[1]]).build()


def refused(call, status, code):
    try:
        call()
    except ClientRequestException as error:
        assert (error.status_code, error.error_code) == (status, code), error
        assert error.request_id, error
        return error
    raise AssertionError("nothing was refused")


def main():
    roma = client("AKEXAMPLE", "SKEXAMPLE")
    assert roma.check_roma_instance_list_v2(CheckRomaInstanceListV2Request(limit=10)).total == 1

    body = CreateAppReq(name="订单 (new) _1.0-a", remark="a & b <c> \"d\" é", favorite=True, secret="s3cr3t-s3cr3t")
    app = roma.create_roma_app(CreateRomaAppRequest(instance_id=INSTANCE, body=body))
    assert (app.name, app.remark, app.favorite) == (body.name, body.remark, True), app
    assert "admin" in app.roles, app
    own = {"instance_id": INSTANCE, "app_id": app.id}

    # Signed queries: blanks, what needs an escape, several pairs.
    for name in ["订单", "(new) _1.0-a", None]:
        request = ListRomaAppRequest(instance_id=INSTANCE, name=name, favorite=True, owner=True, offset=0, limit=500)
        found = roma.list_roma_app(request)
        assert (found.total, found.apps[0].id) == (1, app.id), (name, found)
    assert roma.list_roma_app(ListRomaAppRequest(instance_id=INSTANCE, name="none")).total == 0
    assert roma.validate_roma_app(ValidateRomaAppRequest(instance_id=INSTANCE, name=body.name)).id == app.id
    assert roma.check_roma_app_details(CheckRomaAppDetailsRequest(**own)).key == app.key

    changed = roma.update_roma_app(UpdateRomaAppRequest(body=UpdateAppReq(remark=""), **own))
    assert (changed.remark, changed.name, changed.favorite) == ("", body.name, True), changed
    changed = roma.update_roma_app(UpdateRomaAppRequest(body=UpdateAppReq(name="two", favorite=False), **own))
    assert (changed.name, changed.favorite) == ("two", False), changed

    assert roma.check_roma_app_secret(CheckRomaAppSecretRequest(**own)).secret == "s3cr3t-s3cr3t"
    given = UpdateAppSecretReq(secret="0ther-s3cr3t")
    assert roma.reset_roma_app_secret(ResetRomaAppSecretRequest(body=given, **own)).secret == "0ther-s3cr3t"
    made = roma.reset_roma_app_secret(ResetRomaAppSecretRequest(body=UpdateAppSecretReq(), **own)).secret
    assert made not in ("0ther-s3cr3t", "") and roma.check_roma_app_secret(CheckRomaAppSecretRequest(**own)).secret == made

    candidates = roma.check_can_auth_users_of_app(CheckCanAuthUsersOfAppRequest(**own))
    assert [user.id for user in candidates.users] == ["u2"], candidates
    members = AddUserToApp(users=[{"id": "u2", "roles": ["modify"]}])
    answer = roma.add_user_to_app(AddUserToAppRequest(body=members, **own))
    assert (answer.total, set(answer.users[0].roles)) == (1, {"read", "modify"}), answer
    assert roma.check_auth_users_of_app(CheckAuthUsersOfAppRequest(user_name="ann", **own)).total == 1

    again = CreateRomaAppRequest(instance_id=INSTANCE, body=CreateAppReq(name="two"))
    refused(lambda: roma.create_roma_app(again), 400, "ROMA.00014011")
    wrong = UpdateRomaAppRequest(body=UpdateAppReq(name="a/b"), **own)
    refused(lambda: roma.update_roma_app(wrong), 400, "ROMA.00013000")
    roma.delete_roma_app(DeleteRomaAppRequest(**own))
    refused(lambda: roma.check_roma_app_details(CheckRomaAppDetailsRequest(**own)), 404, "ROMA.00014001")

    listing = ListRomaAppRequest(instance_id=INSTANCE)
    error = refused(lambda: client("AKEXAMPLE", "wrong").list_roma_app(listing), 401, "APIGW.0301")
    assert "verify aksk signature fail" in error.error_msg, error
    error = refused(lambda: client("NOBODY", "SKEXAMPLE").list_roma_app(listing), 401, "APIGW.0301")
    assert "ak not exist" in error.error_msg, error
    assert roma.list_roma_app(listing).total == 0


main()
