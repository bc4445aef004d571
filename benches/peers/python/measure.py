#!/usr/bin/env python3
"""Prints the nanoseconds of processor time of one `decode` of PyJWT, for each round. Standard input: the material of
benches/src/bin/hot_path.rs. The key is parsed once."""

import json
import os
import sys
import time

import jwt

material = json.load(sys.stdin)
token, issuer = material["token"], f"https://cognito-idp.us-east-1.amazonaws.com/{material['pool_id']}"
keys = {key.key_id: key for key in jwt.PyJWKSet.from_dict(material["jwks"]).keys}


def verify():
    key = keys[jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(token, key, algorithms=["RS256"], issuer=issuer)
    # Cognito's access tokens have no `aud`, so PyJWT does not check the client.
    if claims["token_use"] != "access" or claims["client_id"] != material["client_id"]:
        raise SystemExit("refused")


rounds, calls = (5, 200) if "GATEHOUSE_QUICK" in os.environ else (25, 1000)
took = []
for _ in range(rounds):
    began = time.process_time_ns()
    for _ in range(calls):
        verify()
    took.append((time.process_time_ns() - began) / calls)
print(json.dumps({"PyJWT, decode": took}))
