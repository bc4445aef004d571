"""Starts the built forward-auth, and gives it tokens, keys and a table of revocations, without a stack."""

import base64
import contextlib
import functools
import json
import os
import pathlib
import tempfile
import time

import boto3
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

import dynamodb
import proxies
from invoked import BINARIES, invoked
from servers import free_port

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARY = BINARIES / "forward-auth" / "bootstrap"
POOL, CLIENT, TABLE = "us-east-1_Gatehouse", "4example0client1id2345678", "revocations"
ISSUER = f"https://cognito-idp.us-east-1.amazonaws.com/{POOL}"
# A machine without Java or the archive of DynamoDB Local has no table.
HAS_TABLES = (ROOT / ".tools/dynamodb").exists() and (ROOT / "tests/dynamodb/node_modules").exists()
NO_AWS = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}


@functools.cache
def private_key():
    return rsa.generate_private_key(65537, 2048)


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def key_set():
    numbers = private_key().public_key().public_numbers()
    modulus, exponent = (encoded(n.to_bytes((n.bit_length() + 7) // 8, "big")) for n in (numbers.n, numbers.e))
    key = {"kty": "RSA", "kid": "k-1", "use": "sig", "alg": "RS256", "n": modulus, "e": exponent}
    return json.dumps({"keys": [key]})


def token(session="o-1", subject="s-1", groups=(), lives=1800, **further):
    """An access token of the pool, as Cognito issues it, that is valid for so many seconds."""
    now = int(time.time())
    claims = {
        "iss": ISSUER, "sub": subject, "client_id": CLIENT, "token_use": "access", "origin_jti": session,
        "jti": f"j-{session}", "username": "ada", "scope": "aws.cognito.signin.user.admin", "auth_time": now - 60,
        "iat": now - 60, "exp": now + lives, **({"cognito:groups": list(groups)} if groups else {}), **further,
    }  # fmt: skip
    header = {"alg": "RS256", "kid": "k-1"}
    parts = [encoded(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims)]
    signature = private_key().sign(".".join(parts).encode(), padding.PKCS1v15(), hashes.SHA256())
    return ".".join([*parts, encoded(signature)])


def decoded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@contextlib.contextmanager
def phantom_tokens():
    """The variables of phantom tokens for the backend, with a key that signs already."""
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    key = {"kid": "p-1", "alg": "ES256", "private_key": pem.decode(), "not_before": int(time.time()) - 3600}
    with tempfile.TemporaryDirectory(prefix="gatehouse-phantom-") as folder:
        file = pathlib.Path(folder) / "keys.json"
        file.touch(0o600)
        file.write_text(json.dumps({"keys": [key]}))
        yield {
            "PHANTOM_ISSUER": "https://phantom.example.com",
            "PHANTOM_KEYS_FILE": str(file),
            "PHANTOM_AUDIENCES": json.dumps({proxies.HOST: "orders"}),
        }


def verified(token, key_set):
    """The claims of an ES256 token, verified with the key of the set that it names."""
    header, payload, signature = token.split(".")
    kid = json.loads(decoded(header))["kid"]
    (key,) = [one for one in json.loads(key_set)["keys"] if one["kid"] == kid]
    x, y, r, s = (int.from_bytes(part, "big") for part in (
        decoded(key["x"]), decoded(key["y"]), decoded(signature)[:32], decoded(signature)[32:]))  # fmt: skip
    public = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    public.verify(utils.encode_dss_signature(r, s), f"{header}.{payload}".encode(), ec.ECDSA(hashes.SHA256()))
    return json.loads(decoded(payload))


def variables():
    """What the functions of these tests have in common."""
    return {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "USER_POOL_ID": POOL,
        "APP_CLIENT_IDS": CLIENT,
        "JWKS": key_set(),
    }


@contextlib.contextmanager
def running(dialect, lines=None, **further):
    """forward-auth as a server for a dialect; yields its port. Revocations are in memory if `further` has no table. At the
    end `lines` gets its log."""
    where = {} if "REVOCATION_TABLE" in further else {"REVOCATION_STORE": "memory"}
    port = free_port()
    names = variables() | {
        "PATH": os.environ["PATH"],
        "PROXY_DIALECT": dialect,
        "CLIENT_ADDRESS_HEADER": "x-forwarded-for",
        "POLICIES_DIR": str(ROOT / "policies"),
        **where,
        **further,
    }
    with tempfile.TemporaryDirectory(prefix="gatehouse-forward-auth-") as folder:
        with proxies.running("forward-auth", [BINARY, "--listen", f"127.0.0.1:{port}"], port, folder, names):
            yield port
            if lines is not None:
                lines += map(json.loads, (pathlib.Path(folder) / "output.log").read_text().splitlines())


@contextlib.contextmanager
def revocations():
    """DynamoDB Local with the table of revocations; yields the variables by which functions find it."""
    with dynamodb.alone() as url:
        secret = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
        client = boto3.Session(**secret).client("dynamodb", endpoint_url=url)
        client.create_table(
            TableName=TABLE,
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
            BillingMode="PAY_PER_REQUEST",
        )
        dynamodb.warm_up(client)
        yield {"AWS_ENDPOINT_URL": url, "REVOCATION_TABLE": TABLE}


def log_out(bearer, store):
    """Ends the token's session by the real logout function. Returns when it has acknowledged, with its status."""
    event = json.loads((ROOT / "events/logout/session.json").read_text())
    event["headers"] = {"Authorization": f"Bearer {bearer}"}
    event["multiValueHeaders"] = {"Authorization": [f"Bearer {bearer}"]}
    kind, body, output = invoked("logout", json.dumps(event), variables() | store)
    if kind != "response":
        raise AssertionError(output)
    return json.loads(body)["statusCode"]
