"""What the audit's tests share."""

import contextlib
import io
import json
import pathlib

from gatehouse_operate.audit import cli

ROOT = pathlib.Path(__file__).resolve().parents[3]
RECORDED = pathlib.Path(__file__).parent / "recorded"


def run(*arguments):
    """The exit code and both outputs of a command line."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = cli.main([str(one) for one in arguments])
        except SystemExit as error:
            code = error.code
    return code, out.getvalue(), err.getvalue()


def audit(folder, *arguments):
    """The exit code and the JSON report on a folder of recorded answers."""
    code, out, _ = run("--from", folder, "--json", "--quiet", *arguments)
    return code, json.loads(out)


def lines(report):
    """The findings of a report as `severity check resource`."""
    return [f"{one['severity']} {one['check']} {one['resource']}" for one in report["findings"]]
