"""An OpenID Connect provider for the walkthrough. It signs in every caller at once, as its only user.
MiniStack does not check its signature."""

import base64
import contextlib
import http.server
import json
import threading
import time
import urllib.parse


@contextlib.contextmanager
def running(subject, email):
    """Yields the provider's address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_):
            """Logs nothing."""

        def do_GET(self):
            query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))
            back = urllib.parse.urlencode({"code": "code", "state": query["state"]})
            self.send_response(302)
            self.send_header("Location", f"{query['redirect_uri']}?{back}")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            claims = {"iss": address, "aud": "gatehouse", "sub": subject, "exp": int(time.time()) + 300}
            claims |= {"email": email, "email_verified": "true", "name": "Ada"}
            token = ".".join(map(segment, ({"alg": "RS256", "kid": "1"}, claims, "signature")))
            body = json.dumps({"id_token": token, "access_token": "x", "token_type": "Bearer"}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield address
    finally:
        server.shutdown()
        server.server_close()


def segment(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
