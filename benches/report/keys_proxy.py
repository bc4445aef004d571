"""Answers as Cognito's address of public keys, for verifiers that fetch them from there and cannot be given any: an
HTTPS proxy on the loopback interface that ends TLS itself, with a certificate of an issuer that only the caller's
child trusts."""

import contextlib
import datetime
import pathlib
import socketserver
import ssl
import tempfile
import threading

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

HOST = "cognito-idp.us-east-1.amazonaws.com"


@contextlib.contextmanager
def answering(keys):
    """Serves `keys` for every request; yields the variables by which a program uses it."""
    with tempfile.TemporaryDirectory(prefix="gatehouse-keys-") as folder:
        root, own = certified(pathlib.Path(folder))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(own)

        class Tunnel(socketserver.StreamRequestHandler):
            def handle(self):
                while self.rfile.readline() not in (b"\r\n", b""):
                    pass
                self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
                with contextlib.suppress(ssl.SSLError), context.wrap_socket(self.connection, server_side=True) as secured:
                    secured.recv(65536)
                    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(keys)}"
                    secured.sendall(f"{head}\r\nConnection: close\r\n\r\n{keys}".encode())

        with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Tunnel) as server:
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, daemon=True).start()
            proxy = f"http://127.0.0.1:{server.server_address[1]}"
            yield {"HTTPS_PROXY": proxy, "https_proxy": proxy, "NO_PROXY": "", "SSL_CERT_FILE": str(root)}
            server.shutdown()


def certified(folder):
    """Two files: the issuer's certificate, and one of Cognito's host with its key. They differ, because rustls accepts no
    server that presents an issuer's certificate."""
    issuer, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    name, host = (x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, one)]) for one in ("Gatehouse's bench", HOST))
    root = signed(name, issuer, name, issuer, x509.BasicConstraints(ca=True, path_length=0))
    certificate = signed(host, key, name, issuer, x509.SubjectAlternativeName([x509.DNSName(HOST)]))
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    trusted, own = folder / "root.pem", folder / "certificate.pem"
    trusted.write_bytes(root.public_bytes(pem))
    own.touch(0o600)
    own.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain) + certificate.public_bytes(pem))
    return trusted, own


def signed(name, key, issuer_name, issuer, extension):
    now = datetime.datetime.now(datetime.timezone.utc)
    day = datetime.timedelta(days=1)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(issuer_name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - day).not_valid_after(now + day)
    return builder.add_extension(extension, critical=False).sign(issuer, hashes.SHA256())
