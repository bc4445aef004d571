"""Finds figures that the documents claim about Gatehouse without saying how to measure them.

A claim is a sentence, a list item or a row of a table with a figure and a unit of measured behaviour: time, memory,
size, rate, ratio, share, instructions; or with a fraction in words beside a word of performance ("half as long as"). A
table may have the unit in its header. A figure is not a claim if it is a setting, or a bound that something else
enforces, which the words directly around it say (`BOUND`), or, for whole seconds, minutes and hours, if no word of the
sentence says that it was measured.

A claim names its command if its block (a paragraph, an item of a list, a row of a table), or a paragraph of the same
section that begins with "Measured by", has one of the commands that measure in backticks (`COMMANDS`); or if it links
to a section, or a page, with such a paragraph. A command counts only for the units that it prints, and the time of a
build or of the tests only behind its command.

A figure beside a link to docs/benchmarks.md, or beside `make bench`, must stand in that section, or in those of that
part, with its unit, up to TOLERANCE: otherwise it is of an older run, or of another part. A figure belongs to the next
of them in its paragraph or cell, behind the last one to the last.
"""

import dataclasses
import re

# Two runs on a shared machine differ by so much.
TOLERANCE = 0.1

# "20 times" alone is how often something happens.
TIMES = r"times(?= (?:as|the|that|Gatehouse|less|more|faster|slower|cheaper|longer|a)\b)"
BYTES = r"[KMG]i?B"
FINE = rf"ms|µs|us|milliseconds?|microseconds?|{BYTES}|×|{TIMES}|%|(?:million )?instructions|(?:\w+ )?a second|\w+/s"
COARSE = r"s|seconds?|min|minutes?|hours?"
# "An eighth of the processor's time", "twice as fast as", "a third less".
PARTS_OF = {"half": 2, "third": 3, "quarter": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9, "tenth": 10}
COUNTS = {"a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9}
QUANTITY = r"(?:time|memory|size|instructions?|starts?|binary|package|zip|bytes|latency|duration)"
SHARE = re.compile(
    rf"\b(?:(twice|double)(?= as (?:long|fast|slow|much|many|large|small|big)\b| the (?:\w+ )?{QUANTITY}\b)"
    rf"|(?:({'|'.join(COUNTS)})[ -])?({'|'.join(PARTS_OF)})s?"
    r"(?: as (?:long|fast|slow|much|many|large|small|big)\b| (less|more|longer|shorter|faster|slower|smaller|larger|fewer)\b"
    rf"| (?:of )?(?:(?:the|its|a|an|that|this) )?(?:[\w'’-]+ ){{0,4}}?{QUANTITY}\b))",
    re.IGNORECASE,
)
NUMBER = r"(?<![\w.$/^-])\d[\d,]*(?:\.\d+)?"
FIGURE = re.compile(rf"({NUMBER})[\s-]?(?:({FINE})|({COARSE}))(?![\w/])", re.IGNORECASE)
# In the header of a table: "p99, ms", "µs", "requests/s, 32 connections", "CPU, × whoami".
UNIT_IN_HEADER = re.compile(rf"(?:^|, |\()({FINE}|{COARSE}|bytes)(?:$|[,: )])|(?:^|, )(x|×) ", re.IGNORECASE)
PLAIN_CELL = re.compile(rf"^({NUMBER})(?: \(.*\))?$")

MEASURED = re.compile(
    r"\b(?:measure[sd]?|took(?! longer)|medians?|percentile|p50|p99|processor time|CPU|resident|starts in|times as"
    r"|faster|slower|cores?|processors?|cheaper|on this machine|in a run|of a run)\b"
)
# A figure that code or a setting enforces, and a test asserts. The words stand directly before it ("at most 8 KB",
# "a limit of 2.5 s", "within a further 2 s", "`REFUSAL_STEP_MS` (500 ms)") or directly after it ("a 500 ms limit").
BEFORE = (
    r"at most|at least|at the latest|most every|limits?|limited to|exceed(?:s|ed)?|refused? (?:above|more than)|up to|no more"
    r"|no more than|no longer than|within|above|below|larger than|longer than|fewer than|maximum|minimum|bound|default|quota|steps"
    r"|throttled?|allows?|more than|less than|every|for so long"
)
AFTER = r"assumed|limits?|maximum|minimum|quota|at most|at the latest|by default|bound|or more|or less|or longer"
SETTING = r"(?-i:`[A-Z][A-Za-z_]{3,}`,? ?\(?|`[A-Z][A-Za-z_]{3,}=)"
BETWEEN = r" (?:of|to|is|are|at|a|an|the|further|about|only|(?-i:[A-Z]\w+)|\w+'s)\b"
BOUND_BEFORE = re.compile(rf"(?:\b(?:{BEFORE})\b(?:{BETWEEN})*:? |{SETTING})$", re.IGNORECASE)
BOUND_AFTER = re.compile(rf"^\)? ?(?:{AFTER})\b", re.IGNORECASE)

# The commands that print the figures, and the units that they print.
ANY = rf"{FINE}|{COARSE}"
COMMANDS = {
    "du -sh": BYTES,
    "make bench": ANY,
    "make build": rf"{BYTES}|{COARSE}",
    "make chaos": rf"{COARSE}|{BYTES}",
    "make check": COARSE,
    "make fuzz": COARSE,
    "make live-checks": COARSE,
    "make mutants": COARSE,
    "make notices": BYTES,
    "make reproduce": COARSE,
    "make run": COARSE,
    "make test": COARSE,
    "make test-adopt": rf"{COARSE}|a second",
    "gatehouse migrate check --memory": ANY,
    "cargo test -p auth-tests --test it -- --ignored --nocapture": ANY,
    "local/mutants": COARSE,
}
# They print their own time, of which a sentence speaks behind the command: "`make test` took 7 minutes".
OWN_TIME = ("make build", "make run", "make test")
# Their figures are in docs/benchmarks.md.
BENCH = re.compile(r"`(?:[A-Z_]+=\S+ )*make bench(?: ([^`]*))?`")
PART = re.compile(r"\bPART=(?:\"([^\"]*)\"|(\S+))")
BY = re.compile(r"^(?:> )?Measured by ", re.MULTILINE)
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)]*))?\)")


@dataclasses.dataclass
class Section:
    """A heading's text up to the next heading."""

    anchor: str
    blocks: list

    def is_measured(self):
        return any(BY.search(block) and measuring(block) for block in self.blocks)

    def parts(self):
        """The parts of `make bench` by which the section was measured."""
        return {part for block in self.blocks if BY.search(block) for part in parts_of(joined(block))}

    def figures(self):
        """What was measured: (number, unit), each in the base unit. How and where is not one of them."""
        found = set()
        for block in self.blocks:
            if block.lstrip().startswith("|"):
                found |= set(figures_in_table(block))
            elif not BY.search(block):
                found |= set(quantities(joined(block)))
        return found


@dataclasses.dataclass
class Claim:
    """A figure without a command."""

    page: str
    text: str
    why: str

    def __str__(self):
        return f"{self.page}: {self.why}: {self.text}"


def joined(block):
    return " ".join(block.split())


def commands(block):
    """The commands that measure among those in backticks: where each begins in the joined block, and which it is."""
    found = []
    for quoted in re.finditer(r"`([^`]+)`", joined(block)):
        # GATEHOUSE_ROUNDS=1 make bench; nice -n 19 local/mutants requests
        words = re.sub(r"^(?:[A-Z_]+=\S+ |nice (?:-n \d+ )?)*", "", quoted[1])
        found += [(quoted.start(), one) for one in COMMANDS if words == one or words.startswith(f"{one} ")]
    return found


def measuring(block):
    """The commands of a block whose result is a figure, not their own time."""
    return [command for _, command in commands(block) if command not in OWN_TIME]


def parts_of(text):
    """The parts that the `make bench` of a text measure; "" is all of them."""
    found = []
    for bench in BENCH.finditer(text):
        named = PART.search(bench[1] or "")
        found += re.split(r"[ ,|]+", (named[1] or named[2]).strip()) if named else [""]
    return found


def quantities(text):
    """The figures of a text, each in its base unit: a share is a ratio."""
    for number, fine, coarse in FIGURE.findall(text):
        yield based(number, fine or coarse)
    for share in SHARE.finditer(text):
        yield ratio(share), "×"


def ratio(share):
    double, count, fraction, compared = share.groups()
    value = 2.0 if double else COUNTS.get((count or "one").lower(), 1) / PARTS_OF[fraction.lower()]
    if compared and not double:
        value = 1 + value if compared.lower() in ("more", "longer", "slower", "larger") else 1 - value
    return value


def sections(text):
    """The sections of a page, without fenced code."""
    text = re.sub(r"^( *)```.*?^\1```$", "", text, flags=re.MULTILINE | re.DOTALL)
    found = [Section("", [])]
    for block in re.split(r"\n\s*\n", text):
        # A heading may stand directly above its text.
        for part in re.split(r"^(#+ .*)$", block, flags=re.MULTILINE):
            if part.startswith("#"):
                found.append(Section(anchor_of(part.lstrip("# ")), []))
            else:
                items = re.split(r"^(?=\s*(?:[-*]|\d+\.) )", part, flags=re.MULTILINE)
                found[-1].blocks += [item.strip("\n") for item in items if item.strip()]
    return found


def anchor_of(heading):
    """As GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def figures(block):
    """The parts of a block with a figure that is claimed."""
    if block.lstrip().startswith("|"):
        yield from figures_of_table(block)
        return
    for sentence in re.split(r"(?<=[.:;])\s+(?=[A-Z`*\[(])", joined(block)):
        if is_claim(sentence):
            yield sentence


def rows_of(block):
    """The lines of a table, and the cells of each."""
    lines = [line for line in block.splitlines() if line.lstrip().startswith("|")]
    return lines, [[cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))] for line in lines]


def figures_of_table(block):
    lines, cells = rows_of(block)
    units = [bool(UNIT_IN_HEADER.search(cell)) for cell in cells[0]]
    for line, row in zip(lines[2:], cells[2:]):
        if is_claim(line) or any(unit and PLAIN_CELL.match(cell) for cell, unit in zip(row, units)):
            yield line


def figures_in_table(block):
    """The figures of a table's cells: with the unit beside the number, otherwise with that of the column. A range in
    brackets is not what the table states."""
    _, cells = rows_of(block)
    units = [(found[1] or found[2]) if (found := UNIT_IN_HEADER.search(cell)) else None for cell in cells[0]]
    for column, heading in enumerate(cells[0]):
        if heading == "after":
            # "| CPU, ms, before | after |"
            units[column] = units[column - 1]
        if heading.endswith("after / before"):
            units[column] = "×"
        # "| µs | 1 | 10 | 100 |": the unit of what grows with these numbers.
        if units[0] and re.fullmatch(NUMBER, heading):
            units[column] = units[0]
    for row in cells[2:]:
        for cell, unit in zip(row, units):
            stated = re.sub(r" \(.*?\)", "", cell)
            if unit:
                # "wrong password 27,391, unknown user 27,402"
                for number in re.findall(NUMBER, re.sub(r",(?= )", "", stated)):
                    yield based(number, unit)
            yield from quantities(stated)


def is_claim(sentence):
    """Whether a sentence has a figure that it does not state as something else."""
    return bool(claimed(sentence))


def claimed(sentence):
    """The figures and shares of a sentence that it does not state as something else, as matches."""
    found = [one for one in FIGURE.finditer(sentence) if (one[2] or MEASURED.search(sentence)) and not is_bound(one)]
    return [*found, *SHARE.finditer(sentence)]


def is_bound(found):
    before, after = found.string[: found.start()], found.string[found.end() :]
    return BOUND_BEFORE.search(before) or BOUND_AFTER.search(after)


def unproven(pages, exceptions=()):
    """The claims of these pages, {path: text}, that name no command, or a figure that its link does not have."""
    parsed = {page: sections(text) for page, text in pages.items()}
    for page, its in parsed.items():
        excepted = [phrase for where, phrase, _ in exceptions if where == page]
        for section in its:
            for block in section.blocks:
                found = [
                    Claim(page, text, "no command measures it")
                    for text in figures(block)
                    if not names_command(text, block, section, page, parsed)
                ]
                if page != BENCHMARKS:
                    found += outdated(block, page, parsed)
                yield from (one for one in found if not any(phrase in one.text for phrase in excepted))


def names_command(text, block, section, page, parsed):
    # A row of a table stands for itself.
    around = text if text.lstrip().startswith("|") else block
    linked = any(one.is_measured() for _, one in targets(around, page, parsed))
    if linked or section.is_measured():
        return True
    if not (found := claimed(text)):
        # A row whose unit is in the header.
        return bool(measuring(around))
    return all(any(prints(command, one) for command in measured_by(one, around)) for one in found)


def measured_by(found, around):
    """The commands of a block that may have printed a figure: its own time stands in the same sentence behind it."""
    printed = {command for _, command in commands(found.string) if command in OWN_TIME}
    behind = {command for begin, command in commands(found.string) if begin < found.start()}
    return [*measuring(around), *(printed & behind), *(printed if is_size(found) else ())]


def is_size(found):
    return found.re is FIGURE and bool(re.fullmatch(BYTES, found[2] or "", re.IGNORECASE))


def prints(command, found):
    unit = (found[2] or found[3]) if found.re is FIGURE else "×"
    return bool(re.fullmatch(COMMANDS[command], unit, re.IGNORECASE))


def outdated(block, page, parsed):
    """Figures that stand beside a link to the benchmarks, or beside `make bench`, and are not in that section or part.
    Those of a link's text are meant alone, otherwise those in front of it, back to the previous one."""
    for part in block.splitlines() if block.lstrip().startswith("|") else [joined(block)]:
        for cell in re.split(r" \| ", part) if part.lstrip().startswith("|") else [part]:
            quotes = sorted(quoted(cell, page, parsed), key=lambda one: one[:2])
            end = 0
            for begin, after, there, name in quotes:
                label = cell[begin:after] if cell[begin] == "[" else ""
                before, end = cell[end:after], after
                yield from absent(page, label if any(quantities(label)) else before, there, name)
            if quotes:
                yield from absent(page, cell[end:], there, name)


def quoted(text, page, parsed):
    """Where a text names what measured its figures: begin, end, the figures, and a name; no figures are known of another
    command or of a page that is not the benchmarks."""
    for link in LINK.finditer(text):
        linked = [(path, one) for path, one in targets(link[0], page, parsed)]
        if any(path == BENCHMARKS or one.is_measured() for path, one in linked):
            there = [one.figures() for path, one in linked if path == BENCHMARKS]
            begin = text.rfind("[", 0, link.start() + 1)
            yield begin, link.end(), set().union(*there) if there else None, f"the section of {BENCHMARKS} that it links to"
    for bench in BENCH.finditer(text):
        known = figures_of_parts(parsed.get(BENCHMARKS, ()))
        there = [known.get(name, set()) for name in parts_of(bench[0]) if name] or known.values()
        what = f"what {bench[0]} has measured in {BENCHMARKS}"
        yield bench.start(), bench.end(), set().union(*there) if BENCHMARKS in parsed else None, what
    for begin, command in commands(text):
        if command != "make bench":
            yield begin, begin, None, command


def figures_of_parts(its):
    """The figures of each part of `make bench`: of its section, and of those behind it that name no command."""
    found, current = {}, set()
    for section in its:
        current = section.parts() or current
        for part in current:
            found.setdefault(part, set()).update(section.figures())
    return found


def absent(page, text, there, name):
    """The figures of a text that are not among those of a section; `None`: not known."""
    if there is None:
        return
    stated = [(found[0], based(found[1], found[2] or found[3])) for found in FIGURE.finditer(text) if not is_bound(found)]
    stated += [(share[0], (ratio(share), "×")) for share in SHARE.finditer(text)]
    for words, figure in stated:
        if not stands_in(figure, there):
            yield Claim(page, text.strip(), f"{words} is not in {name}")


def unknown(pages, parts, tests):
    """The commands of these pages, in backticks, that name a part of `make bench` or a test that there is not."""
    for page, text in pages.items():
        for command in re.findall(r"`([^`\n]+(?:\n[^`\n]+)?)`", text):
            command = joined(command)
            for part in parts_of(f"`{command}`"):
                if part not in ("", *parts):
                    yield Claim(page, command, f"there is no part {part}")
            for name in re.findall(r"\bmake (?:test|chaos)\b.*?\bT=(\S+)", command):
                if name not in PLACEHOLDERS and not any(name in test for test in tests):
                    yield Claim(page, command, f"there is no test {name}")


# What a page writes for any name of a test.
PLACEHOLDERS = ("name", "<name>", "<test>")


# The base unit of each unit, and how many of it. Other units are their own.
BASES = {
    ("s", 1e-6): ("µs", "us", "microsecond"),
    ("s", 1e-3): ("ms", "millisecond"),
    ("s", 1): ("s", "second"),
    ("s", 60): ("min", "minute"),
    ("s", 3600): ("hour",),
    ("B", 1): ("byte",),
    ("B", 1e3): ("kb",),
    ("B", 1e6): ("mb",),
    ("B", 1e9): ("gb",),
    ("B", 2**10): ("kib",),
    ("B", 2**20): ("mib",),
    ("B", 2**30): ("gib",),
    ("×", 1): ("×", "x", "times"),
    ("instructions", 1): ("instruction",),
    ("instructions", 1e6): ("million instruction",),
}
UNITS = {name: base for base, names in BASES.items() for name in names}


def based(number, unit):
    """A figure in its base unit: a rate of anything is one of it a second."""
    unit = unit.lower()
    if unit.endswith(("a second", "/s")):
        unit, factor = "a second", 1
    else:
        unit, factor = UNITS.get(unit) or UNITS.get(unit.removesuffix("s")) or (unit, 1)
    return float(number.replace(",", "")) * factor, unit


def stands_in(figure, there):
    """Whether a section has this figure: the number, of the same unit."""
    number, unit = figure
    return any(unit == its and abs(number - one) <= TOLERANCE * number for one, its in there)


BENCHMARKS = "docs/benchmarks.md"


def targets(text, page, parsed):
    """The sections that a text links to; all of a page without an anchor."""
    folder = page.rpartition("/")[0]
    for path, anchor in LINK.findall(text):
        path = f"{folder}/{path}".lstrip("/") if path else page
        for section in parsed.get(path, ()):
            if not anchor or section.anchor == anchor:
                yield path, section
