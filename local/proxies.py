"""Runs real proxies with the configurations of examples/forward-auth, and what is in front of and behind them: a raw
client, and a server that keeps every request as it came."""

import contextlib
import http.client
import json
import os
import pathlib
import socket
import socketserver
import subprocess
import tempfile
import threading

from servers import free_port, wait_for

ROOT = pathlib.Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples" / "forward-auth"
HOST = "app.example.com"
CADDY = ROOT / ".tools/caddy/bin/caddy"
NGINX = ROOT / ".tools/nginx/usr/sbin/nginx"
WRK = ROOT / ".tools/wrk/usr/bin/wrk"
SECONDS = 20


def unpacked(program):
    """The environment of a program that local/debian unpacked, which finds its own libraries first."""
    libraries = sorted(str(folder) for folder in program.parent.parent.glob("lib/*-linux-gnu*"))
    return {"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": ":".join(libraries)}


def example(name, addresses):
    """The text of an example, with other addresses instead of the ones that it shows: each must be in it."""
    text = (EXAMPLES / name).read_text()
    for shown, used in addresses.items():
        if shown not in text:
            raise SystemExit(f"{name} does not have {shown}")
        text = text.replace(shown, used)
    return text


# The whole of nginx.conf around a file of /etc/nginx/conf.d, without a path of the system.
NGINX_MAIN = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
worker_processes {workers};
{root}events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {site}
}}
"""


@contextlib.contextmanager
def nginx(forward_auth, backend, site=None, workers=1):
    """nginx with the example, or with another `site` that listens on {port}; yields its port."""
    with tempfile.TemporaryDirectory(prefix="gatehouse-nginx-") as folder:
        port = free_port()
        if site is None:
            addresses = {"127.0.0.1:9000": f"127.0.0.1:{forward_auth}", "127.0.0.1:8080": f"127.0.0.1:{backend}"}
            site = example("nginx.conf", addresses | {"listen 80;": f"listen 127.0.0.1:{port};"})
        # Workers would become another user, who cannot write the folder.
        root = "user root;\n" if os.geteuid() == 0 else ""
        main = NGINX_MAIN.format(folder=folder, site=site.replace("{port}", str(port)), workers=workers, root=root)
        (pathlib.Path(folder) / "nginx.conf").write_text(main)
        command = [NGINX, "-p", folder, "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf"]
        with running("nginx", command, port, folder, unpacked(NGINX)):
            yield port


@contextlib.contextmanager
def caddy(forward_auth, backend):
    """Caddy with the example; yields its port."""
    with tempfile.TemporaryDirectory(prefix="gatehouse-caddy-") as folder:
        port = free_port()
        addresses = {"127.0.0.1:9000": f"127.0.0.1:{forward_auth}", "127.0.0.1:8080": f"127.0.0.1:{backend}"}
        site = example("Caddyfile", addresses | {f"http://{HOST} {{": f"http://{HOST}:{port} {{\n\tbind 127.0.0.1"})
        (pathlib.Path(folder) / "Caddyfile").write_text("{\n\tadmin off\n\tpersist_config off\n}\n" + site)
        command = [CADDY, "run", "--config", f"{folder}/Caddyfile", "--adapter", "caddyfile"]
        # Its data and configuration stay in the folder.
        names = {"PATH": os.environ["PATH"], "HOME": folder, "XDG_DATA_HOME": folder, "XDG_CONFIG_HOME": folder}
        with running("Caddy", command, port, folder, names):
            yield port


@contextlib.contextmanager
def running(name, command, port, folder, environment):
    """Runs a server until the end of the block. Its output is printed if it does not start."""
    log = pathlib.Path(folder) / "output.log"
    with log.open("w") as output:
        quiet = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": subprocess.STDOUT}
        process = subprocess.Popen([str(part) for part in command], env=environment, cwd=folder, **quiet)
    try:
        try:
            wait_for(name, port, process)
        except SystemExit as problem:
            raise AssertionError(f"{problem}\n{log.read_text()[-4000:]}") from problem
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Request:
    """A request as it came over the wire. Header names keep their case, and repeated ones their order."""

    def __init__(self, line, fields, body=b"", trailers=()):
        self.method, self.path, self.version = line.split(" ", 2)
        self.fields, self.body, self.trailers = fields, body, list(trailers)

    def all(self, name):
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def get(self, name):
        """The value of a header; None if it is absent. A repeated one is an error."""
        values = self.all(name)
        if len(values) > 1:
            raise AssertionError(f"{name} came {len(values)} times: {values}")
        return values[0] if values else None


def read_fields(stream):
    fields = []
    while (line := stream.readline()) not in (b"\r\n", b"\n", b""):
        name, _, value = line.decode("latin-1").partition(":")
        fields.append((name, value.strip()))
    return fields


def read_request(stream):
    """The next request of a connection; None at its end."""
    line = stream.readline().decode("latin-1").rstrip("\r\n")
    if not line:
        return None
    request = Request(line, read_fields(stream))
    if "chunked" in (request.get("transfer-encoding") or "").lower():
        while size := int(stream.readline().split(b";")[0] or b"0", 16):
            request.body += stream.read(size)
            stream.readline()
        request.trailers = read_fields(stream)
    else:
        request.body = stream.read(int(request.get("content-length") or 0))
    return request


class Recorder(socketserver.ThreadingTCPServer):
    """A server that keeps each request and answers as `answer(request)` says: a status and headers."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 256

    def __init__(self, answer=lambda _: (200, {})):
        super().__init__(("127.0.0.1", 0), Connection)
        self.answer, self.requests, self.tunnelled, self.keep = answer, [], b"", True

    @property
    def port(self):
        return self.server_address[1]

    def last(self):
        return self.requests[-1]

    def handle_error(self, *_):
        """Connections that break are part of the tests."""


class Connection(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True

    def handle(self):
        while request := read_request(self.rfile):
            if self.server.keep:
                self.server.requests.append(request)
            if request.get("upgrade") and "upgrade" in (request.get("connection") or "").lower():
                # A backend that accepts every protocol.
                accepted = f"Connection: upgrade\r\nUpgrade: {request.get('upgrade')}"
                self.wfile.write(f"HTTP/1.1 101 x\r\n{accepted}\r\n\r\n".encode())
                # Proxies may split what they send.
                while (byte := self.rfile.read(1)) not in (b"", b"."):
                    self.server.tunnelled += byte
                self.wfile.write(b"tunnelled")
                return
            status, headers = self.server.answer(request)
            body = b"" if request.method == "HEAD" else json.dumps({"path": request.path}).encode()
            lines = [f"HTTP/1.1 {status} x", *(f"{name}: {value}" for name, value in headers.items())]
            self.wfile.write(("\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""])).encode() + body)


@contextlib.contextmanager
def serving(recorder):
    """Runs a Recorder until the end of the block."""
    threading.Thread(target=recorder.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield recorder
    finally:
        recorder.shutdown()
        recorder.server_close()


class Answer:
    """A response: its status, its headers and its body. Status 0: the connection was closed without one."""

    def __init__(self, status, fields, body):
        self.status, self.fields, self.body = status, fields, body

    def all(self, name):
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def get(self, name):
        values = self.all(name)
        return values[0] if values else None


def raw(port, *parts):
    """Sends bytes as they are, and reads the first response."""
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as connection:
        # A server that refuses early may close before all is sent.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for part in parts:
                connection.sendall(part)
        method = parts[0].split(b" ", 1)[0].decode("latin-1")
        try:
            response = http.client.HTTPResponse(connection, method=method)
            response.begin()
            return Answer(response.status, response.getheaders(), response.read())
        except (http.client.HTTPException, ConnectionError):
            return Answer(0, [], b"")


def head(path, fields, method="GET", host=HOST):
    """The bytes of a request's head. `fields` are lines, so that a test can send what a library would refuse."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *fields, "", ""]
    return "\r\n".join(lines).encode("latin-1")


def send(port, path="/", fields=(), method="GET", body=b"", host=HOST):
    length = [f"Content-Length: {len(body)}"] if body or method in ("POST", "PUT", "PATCH") else []
    return raw(port, head(path, ["Connection: close", *fields, *length], method, host) + body)


class Keeping:
    """A connection that stays open, for many requests one after the other."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)

    def status(self, path, headers):
        self.connection.request("GET", path, headers={"Host": HOST, **headers})
        response = self.connection.getresponse()
        response.read()
        return response.status

    def close(self):
        self.connection.close()
