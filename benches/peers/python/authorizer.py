#!/usr/bin/env python3
"""A minimal Lambda authorizer for Python, with the loop of Lambda's runtime: verifies the token with PyJWT, reads the
revocations of token, session and user from DynamoDB once, and returns a policy. It has no Cedar policies, no limits and
no log."""

import http.client
import json
import os

import boto3
import jwt

POOL, CLIENT, TABLE = (os.environ[name] for name in ("USER_POOL_ID", "APP_CLIENT_IDS", "REVOCATION_TABLE"))
ISSUER = f"https://cognito-idp.us-east-1.amazonaws.com/{POOL}"
keys = {key.key_id: key for key in jwt.PyJWKSet.from_json(os.environ["JWKS"]).keys}
store = boto3.client("dynamodb", region_name=os.environ["AWS_REGION"])
connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])


def handle(event):
    token = event["headers"]["Authorization"].split(" ")[1]
    key = keys[jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(token, key, algorithms=["RS256"], issuer=ISSUER)
    if claims["token_use"] != "access" or claims["client_id"] != CLIENT:
        raise PermissionError("Unauthorized")
    user = f"{POOL}#user#{claims['sub']}"
    rows = ["user", f"session#{claims['origin_jti']}", f"token#{claims['jti']}"]
    wanted = [{"pk": {"S": user}, "sk": {"S": row}} for row in rows]
    found = store.batch_get_item(RequestItems={TABLE: {"Keys": wanted, "ConsistentRead": True}})
    if found["Responses"].get(TABLE):
        raise PermissionError("Unauthorized")
    statement = {"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": [event["methodArn"]]}
    return {
        "principalId": claims["sub"],
        "policyDocument": {"Version": "2012-10-17", "Statement": [statement]},
        "context": {name: claims[name] for name in ("sub", "username", "client_id", "scope")},
    }


def call(method, path, body=None):
    connection.request(method, f"/2018-06-01/runtime/invocation/{path}", body)
    response = connection.getresponse()
    return response.headers["lambda-runtime-aws-request-id"], response.read()


while True:
    identifier, body = call("GET", "next")
    try:
        call("POST", f"{identifier}/response", json.dumps(handle(json.loads(body))))
    except (jwt.InvalidTokenError, PermissionError) as error:
        call("POST", f"{identifier}/error", json.dumps({"errorType": "x", "errorMessage": str(error)}))
