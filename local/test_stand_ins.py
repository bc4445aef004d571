"""The stand-ins for jq, curl and openssl give what the programs give."""

import http.server
import os
import pathlib
import shutil
import subprocess
import tempfile
import threading
import unittest

import stand_ins

DOCUMENT = '{"a": [1, 2.5, {"b": "ä\\n\\"x\\""}], "c": null, "d": {"keys": [{"kid": "one"}]}}'
# Arguments, input, output, exit status: what jq 1.7 prints and returns.
JQ = (
    (["."], '{"b":1,"a":"ä"}', '{\n  "b": 1,\n  "a": "ä"\n}\n', 0),
    (["-c", "."], DOCUMENT, '{"a":[1,2.5,{"b":"ä\\n\\"x\\""}],"c":null,"d":{"keys":[{"kid":"one"}]}}\n', 0),
    (["-r", ".d.keys[].kid"], DOCUMENT, "one\n", 0),
    (["-r", ".a[0], .c"], DOCUMENT, "1\nnull\n", 0),
    ([". + {X: .a} | del(.a)"], '{"a": 1}', '{\n  "X": 1\n}\n', 0),
    (["-e", ".a"], '{"a": false}', "false\n", 1),
    (["-e", ".a"], '{"a": 1}', "1\n", 0),
    (["-e", "empty"], "{}", "", 4),
    (["-c", "."], '{"a":1}\n{"a":2}', '{"a":1}\n{"a":2}\n', 0),
)


class StandIns(unittest.TestCase):
    def setUp(self):
        self.folder = self.enterContext(tempfile.TemporaryDirectory())

    def run_one(self, name, arguments, text="", names=None):
        """The output and the exit status of a program, of the stand-in unless `names` says otherwise."""
        path = stand_ins.path_with(self.folder, os.environ["PATH"], names or [name])
        command = [shutil.which(name, path=path), *arguments]
        made = subprocess.run(command, input=text.encode(), capture_output=True, check=False)
        return made.stdout, made.returncode

    def test_jq(self):
        for arguments, text, output, status in JQ:
            with self.subTest(arguments):
                self.assertEqual(self.run_one("jq", arguments, text), (output.encode(), status))
        self.assertNotEqual(self.run_one("jq", ["."], "not json")[1], 0)
        self.assertNotEqual(self.run_one("jq", [".[", "{}"])[1], 0)

    def test_openssl(self):
        # RFC 4231, test case 2.
        expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        found = self.run_one("openssl", ["dgst", "-sha256", "-binary", "-hmac", "Jefe"], "what do ya want for nothing?")
        self.assertEqual((found[0].hex(), found[1]), (expected, 0))
        self.assertEqual(self.run_one("openssl", ["rand", "16"])[1], 1)

    def test_curl(self):
        class Answers(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(404 if "missing" in self.path else 200)
                self.end_headers()
                self.wfile.write(self.path.encode())

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        address = f"http://127.0.0.1:{server.server_port}"
        self.assertEqual(self.run_one("curl", ["-s", f"{address}/keys"]), (b"/keys", 0))
        self.assertEqual(self.run_one("curl", ["-s", f"{address}/missing"]), (b"/missing", 0))
        self.assertEqual(self.run_one("curl", ["-s", "http://127.0.0.1:1/"]), (b"", 7))

    def test_a_program_of_the_machine_is_preferred(self):
        own = pathlib.Path(self.folder) / "own"
        own.mkdir()
        (own / "jq").write_text("#!/bin/sh\necho own\n")
        (own / "jq").chmod(0o755)
        path = stand_ins.path_with(self.folder, str(own))
        self.assertEqual(shutil.which("jq", path=path), str(own / "jq"))
        self.assertEqual(shutil.which("openssl", path=path), str(pathlib.Path(self.folder) / "openssl"))


if __name__ == "__main__":
    unittest.main()
