"""The journal of a plan: what was begun and done, so that a later command can continue or undo it."""

import contextlib
import datetime
import fcntl
import json
import os

from .common import Refused


class Nothing:
    """The journal of a plan that was never applied."""

    done = made = dict
    begun = set
    undoing = bool


class Journal:
    """A file of JSON lines, readable by its owner only. Each line is on the disk before `write` returns.

    A lock of the file keeps a second process of this machine out; `lock.py` keeps other machines out.
    Raises Refused if the file is in use, of another plan, or damaged."""

    def __init__(self, path, plan_id):
        self.path, self.lines = path, []
        self.file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            self.open(plan_id)
        except BaseException:
            self.close()
            raise

    def open(self, plan_id):
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(f"{self.path} is in use: another apply or undo of this plan is running.") from None
        os.fchmod(self.file, 0o600)
        text = self.contents()
        whole, _, torn = text.rpartition(b"\n")
        if torn:
            # The process stopped while it wrote: the line's call was not made, or is found by reading again.
            os.ftruncate(self.file, len(text) - len(torn))
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                self.lines.append(json.loads(line))
                self.lines[-1]["event"]
            except (ValueError, KeyError, TypeError):
                raise Refused(f"{self.path}: line {number} is damaged.") from None
        if not self.lines:
            self.write("opened", plan=plan_id)
        elif self.lines[0].get("plan") != plan_id:
            raise Refused(f"{self.path} belongs to another plan ({self.lines[0].get('plan')}).")

    def contents(self):
        return os.pread(self.file, os.fstat(self.file).st_size, 0)

    def write(self, event, **members):
        """Adds a line. It is on the disk when this returns."""
        at = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        line = {"at": at, "event": event} | members
        text = json.dumps(line, default=str, ensure_ascii=False).encode() + b"\n"
        while text:
            text = text[os.write(self.file, text) :]
        os.fsync(self.file)
        self.lines.append(line)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        with contextlib.suppress(OSError):
            os.close(self.file)

    def done(self):
        """The lines of the steps that are applied, by id: `done`, and not undone since."""
        found = {}
        for line in self.lines:
            match line["event"]:
                case "done":
                    found[line["step"]] = line
                case "undone":
                    found.pop(line["step"], None)
        return found

    def begun(self):
        """The ids of the steps that a process began to apply, and that are not undone since."""
        found = set()
        for line in self.lines:
            match line["event"]:
                case "begin":
                    found.add(line["step"])
                case "undone":
                    found.discard(line["step"])
        return found

    def made(self):
        """The ids of the resources that steps created."""
        return {step: line["id"] for step, line in self.done().items() if line.get("id")}

    def last_made(self):
        """The ids of the resources that steps created last, also of those that an undo has removed since."""
        return {line["step"]: line["id"] for line in self.lines if line["event"] == "done" and line.get("id")}

    def done_after(self, step, others):
        """Whether a step was done after these others, which an undo and a further apply may have changed since."""
        last = {}
        for number, line in enumerate(self.lines):
            if line["event"] == "done":
                last[line["step"]] = number
        return step in last and all(last.get(one, -1) < last[step] for one in others)

    def begun_at(self, step):
        """When a process last began to apply a step."""
        lines = [one for one in self.lines if one["event"] == "begin" and one["step"] == step]
        return datetime.datetime.fromisoformat(lines[-1]["at"])

    def unsettled(self, steps):
        """Whether an undo, of this process or an earlier one, took back one of these steps and has not waited since."""
        found = False
        for line in self.lines:
            match line["event"]:
                case "apply" | "undo-waited":
                    found = False
                case "undo-begin":
                    found = found or line["step"] in steps
        return found

    def redeployed(self):
        """The ids of the deployments of restored methods or routes that an undo made."""
        return {line["made"] for line in self.lines if line.get("made")}

    def undoing(self):
        """Whether an undo was begun and not finished."""
        events = [line["event"] for line in self.lines if line["event"] in ("undo", "undo-finished", "apply")]
        return bool(events) and events[-1] == "undo"
