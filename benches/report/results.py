"""The results of the parts, as benches/report/parts.py writes them."""

import json
import math
import statistics

# From this size on, what does not grow weighs little.
LARGE = 100
# Within one run whoami's medians differ by more only if other work slowed the machine for a while.
STEADY = 1.5
# Parts that are not saved while other programs use the processors: rates and times are their result. `verify`, `before`
# and `tried` compare with a baseline in turns.
QUIET = ("start", "warm", "quota", "load", "front-door", "growth")
# The fields of a part, and of a result by its bench, that the report reads: a result without one is of another version.
HEAD = ("command", "date", "commit", "modified", "machine", "load", "others", "seconds", "quick", "versions", "results")
SPREAD = ("median", "low", "high")


def spreads(*names):
    return tuple(f"{name}.{one}" for name in names for one in SPREAD)


LOAD = ("name", "connections", "runs", "rate", "rate_low", "rate_high", "p50", "p99", "used", "cpu_us")
SIDE = (*spreads("cpu", "took", "resident_mb"), "instructions")
PAIR = (*spreads("ratio"), *(f"{side}.{field}" for side in ("before", "after") for field in SIDE))
FIELDS = {
    "decision": ("name", "allocations", "instructions", *spreads("ns", "ratio")),
    "peer": ("name", *spreads("ns", "floor_ns")),
    "start": ("kind", "name", "mb", "instructions",
              *spreads("start_ms", "cpu_ms", "floor_cpu_ms", "ratio", "resident_mb")),
    "warm": ("name", "p50_us", "p99_us", "instructions", "log_bytes", *spreads("cpu_us")),
    "zip": ("name", "commit", "before", "after"),
    "before": ("kind", "name", *PAIR),
    "tried": ("kind", "name", "variant", "zip", *PAIR),
    "load": LOAD,
    "front-door": LOAD,
    "growth": ("dimension", "step", "size", *spreads("us")),
    "quota": ("name", "memory_mb", "period_ms", *spreads("start_ms"),
              *(f"{kind}.{percent}_ms" for kind in ("rare", "busy") for percent in ("p50", "p99"))),
    "phantom": ("name", *spreads("us", "ratio")),
    "mail": ("mails", "kinds", "p50_us", "p99_us"),
    "migration": ("users", "failures", "per_second", "before_mb", "after_mb"),
    "refusals": ("function",),
}  # fmt: skip


class Results:
    def __init__(self, parts):
        self.parts = parts

    @classmethod
    def read(cls, folder):
        """Those of a folder, without the parts that another version has written: it prints their names."""
        found = {file.stem: json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))}
        for name, part in list(found.items()):
            if fields := lacking(part):
                print(f"**** {folder.name}/{name}.json is left out: another version wrote it, without "
                      f"{', '.join(fields)}; make bench PART={name} measures it again ****", flush=True)  # fmt: skip
                del found[name]
        return cls(found)

    def rows(self, part, bench=None):
        found = self.parts[part]["results"] if part in self.parts else []
        return [row for row in found if bench in (None, row["bench"])]

    def row(self, part, **members):
        """The only row with these members; None if the part was not measured, or lacks it."""
        found = [row for row in self.rows(part) if all(row.get(name) == value for name, value in members.items())]
        return found[0] if found else None

    def growth(self):
        """The points of each step of each dimension: {dimension: {step: [(size, us)]}}."""
        found = {}
        for row in self.rows("growth"):
            found.setdefault(row["dimension"], {}).setdefault(row["step"], []).append((row["size"], row["us"]))
        return found


def lacking(part):
    """The fields that the report reads and this part does not have: the first three of them."""
    found = [field for field in HEAD if not has(part, field)]
    for row in part.get("results", ()):
        found += [field for field in FIELDS.get(row.get("bench"), ("bench",)) if not has(row, field)]
    return list(dict.fromkeys(found))[:3]


def has(members, field):
    """Whether there is a field: `ratio.median` is a field of the field `ratio`."""
    for name in field.split("."):
        if not isinstance(members, dict) or name not in members:
            return False
        members = members[name]
    return True


def unsteady(part):
    """The least and the greatest median of whoami's CPU time beside the functions, if they differ so much that other
    work disturbed the machine during the run."""
    floors = [row["floor_cpu_ms"]["median"] for row in part["results"] if "floor_cpu_ms" in row]
    return (min(floors), max(floors)) if floors and max(floors) > STEADY * min(floors) else None


def is_busy(part):
    """Whether other programs used the processors, directly before the part or directly after it."""
    processors = part["machine"]["processors"]
    return any(is_much(used, processors) for used in part["others"])


def is_much(used, processors):
    """Whether others use so many processors that rates and times are no longer those of the measured program."""
    return used > processors / 4


def as_json(part):
    """The results, one a line, so that a difference between two runs is readable."""
    results = ",\n".join(f"  {json.dumps(result)}" for result in part["results"])
    head = json.dumps({name: value for name, value in part.items() if name != "results"}, indent=1).removesuffix("\n}")
    return f'{head},\n "results": [\n{results}\n ]\n}}\n'


def exponent(points, least=1):
    """The exponent of the power law that fits (size, us) best, by least squares of the logarithms, from the size
    `least` on; None for fewer than three points."""
    chosen = [(math.log(size), math.log(us["median"])) for size, us in points if size >= least]
    if len(chosen) < 3:
        return None
    return statistics.linear_regression(*zip(*chosen)).slope
