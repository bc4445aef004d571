"""The results of the parts, as benches/report/parts.py writes them."""

import json
import math
import statistics

# From this size on, what does not grow weighs little.
LARGE = 100


class Results:
    def __init__(self, parts):
        self.parts = parts

    @classmethod
    def read(cls, folder):
        return cls({file.stem: json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))})

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
