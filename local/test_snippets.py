"""The Python snippet of docs/phantom-tokens.md, against tokens that forward-auth would mint and others."""

import io
import json
import pathlib
import re
import secrets
import time
import unittest
import urllib.request
from unittest import mock

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

DOCUMENT = pathlib.Path(__file__).resolve().parent.parent / "docs/phantom-tokens.md"
ISSUER = "https://auth.example.com"


class Key:
    """A key pair of forward-auth."""

    def __init__(self, alg):
        self.alg, self.kid = alg, secrets.token_hex(8)
        self.private = ec.generate_private_key(ec.SECP256R1()) if alg == "ES256" else ed25519.Ed25519PrivateKey.generate()

    def public(self):
        kind = jwt.algorithms.ECAlgorithm if self.alg == "ES256" else jwt.algorithms.OKPAlgorithm
        key = kind.to_jwk(self.private.public_key(), as_dict=True)
        return {**key, "kid": self.kid, "alg": self.alg, "use": "sig"}

    def token(self, headers=None, **changes):
        """A token for `orders`; a change to None removes the claim."""
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "sub": "ada",
            "aud": "orders",
            "iat": now,
            "exp": now + 60,
            "jti": secrets.token_urlsafe(16),
            "client_id": "web",
            "idp": "us-east-1_Example",
            "idtyp": "user",
            "groups": ["admins"],
            **changes,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        headers = {"kid": self.kid, "typ": "at+jwt", **(headers or {})}
        return jwt.encode(claims, self.private, self.alg, headers=headers)


class PythonSnippet(unittest.TestCase):
    def setUp(self):
        self.keys = [Key("ES256"), Key("EdDSA")]
        self.fetched = []
        opened = mock.patch.object(urllib.request.OpenerDirector, "open", self.fetch)
        opened.start()
        self.addCleanup(opened.stop)
        snippet = re.search(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL).group(1)
        module = {}
        exec(compile(snippet, "snippet", "exec"), module)
        self.caller = module["caller"]

    def fetch(self, request, **_):
        self.fetched.append(request.full_url)
        return io.BytesIO(json.dumps({"keys": [key.public() for key in self.keys]}).encode())

    def test_tokens_of_users_are_accepted(self):
        for key in self.keys:
            claims = self.caller(key.token())
            self.assertEqual((claims["sub"], claims["groups"]), ("ada", ["admins"]))
            self.caller(key.token(exp=int(time.time()) - 4))
        self.assertEqual(self.fetched, [f"{ISSUER}/.well-known/jwks.json"])

    def test_other_tokens_are_refused(self):
        now = int(time.time())
        for key in self.keys:
            for changes in (
                {"aud": "payments"},
                {"aud": None},
                {"iss": "https://auth.example.com/"},
                {"iss": None},
                {"exp": now - 6},
                {"exp": None},
                {"iat": now + 60},
                {"iat": None},
                {"sub": None},
                {"idp": None},
                {"idtyp": None},
                {"idtyp": "app"},
                {"idtyp": ["user"]},
                {"act": {"sub": "agent"}},
                {"act": {}},
                {"headers": {"typ": "JWT"}},
                {"headers": {"typ": "logout+jwt"}},
                {"headers": {"typ": None}},
            ):
                with self.subTest(alg=key.alg, changes=changes), self.assertRaises(jwt.PyJWTError):
                    self.caller(key.token(**changes))
        first, second = self.keys
        forged = f"{first.token(sub='eve').rpartition('.')[0]}.{first.token().rpartition('.')[2]}"
        for token in (forged, Key("ES256").token({"kid": first.kid}), second.token({"kid": first.kid}), "", "a.b.c"):
            with self.subTest(token=token), self.assertRaises(jwt.PyJWTError):
                self.caller(token)
        unsigned = jwt.encode({"sub": "ada"}, None, "none", headers={"kid": first.kid})
        with self.assertRaises(jwt.PyJWTError):
            self.caller(unsigned)

    def test_tokens_with_unknown_keys_cause_no_further_requests(self):
        for _ in range(50):
            with self.assertRaises(jwt.PyJWTError):
                self.caller(Key("EdDSA").token())
        self.assertEqual(len(self.fetched), 1)

    def test_a_new_key_is_fetched_after_the_cooldown(self):
        self.caller(self.keys[0].token())
        new = Key("ES256")
        self.keys.insert(0, new)
        with self.assertRaises(jwt.PyJWTError):
            self.caller(new.token())
        later = time.monotonic() + 31
        with mock.patch.object(time, "monotonic", lambda: later):
            self.caller(new.token())


if __name__ == "__main__":
    unittest.main()
