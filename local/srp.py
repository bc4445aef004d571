"""The client's side of Cognito's SRP: proves a password without sending it.
Source: RFC 5054 (the 3072-bit group of RFC 3526, generator 2), RFC 5869, and AWS's Amplify client."""

import base64
import hashlib
import hmac
import secrets
import time

N = int(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD"
    "EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED"
    "EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F"
    "83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B"
    "E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA0510"
    "15728E5A8AAAC42DAD33170D04507A33A85521ABDF1CBA64ECFB850458DBEF0A8AEA71575D060C7DB3970F85A6E1E4C7"
    "ABF5AE8CDB0933D71E8C94E04A25619DCEE3D2261AD2EE6BF12FFA06D98A0864D87602733EC86A64521F2B18177B200C"
    "BBE117577A615D6C770988C0BAD946E208E24FA074E5AB3143DB5BFCE0FD108E4B82D120A93AD2CAFFFFFFFFFFFFFFFF",
    16,
)
G = 2


class Client:
    def __init__(self, user_pool_id, password):
        self.pool, self.password = user_pool_id.partition("_")[2], password
        self.secret = secrets.randbelow(N - 2) + 1
        self.public = pow(G, self.secret, N)
        self.a = format(self.public, "x")

    def proof(self, parameters):
        """The response to the challenge PASSWORD_VERIFIER."""
        user = parameters["USER_ID_FOR_SRP"]
        server = int(parameters["SRP_B"], 16)
        u = digest(padded(self.public), padded(server))
        inner = hashlib.sha256(f"{self.pool}{user}:{self.password}".encode()).digest()
        x = digest(padded(int(parameters["SALT"], 16)), inner)
        k = digest(padded(N), padded(G))
        shared = pow(server - k * pow(G, x, N), self.secret + u * x, N)
        extracted = hmac.digest(padded(u), padded(shared), "sha256")
        key = hmac.digest(extracted, b"Caldera Derived Key\x01", "sha256")[:16]
        now = time.gmtime()
        timestamp = time.strftime(f"%a %b {now.tm_mday} %H:%M:%S UTC %Y", now)
        block = base64.b64decode(parameters["SECRET_BLOCK"])
        message = self.pool.encode() + user.encode() + block + timestamp.encode()
        signature = base64.b64encode(hmac.digest(key, message, "sha256")).decode()
        return {"secret_block": parameters["SECRET_BLOCK"], "signature": signature, "timestamp": timestamp}


def padded(number):
    """As a signed integer, with a leading zero byte where the first bit is set."""
    return number.to_bytes(number.bit_length() // 8 + 1, "big")


def digest(*parts):
    return int.from_bytes(hashlib.sha256(b"".join(parts)).digest(), "big")
