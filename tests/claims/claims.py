"""Finds figures that the documents claim about Gatehouse without saying how to measure them.

A claim is a sentence, a list item or a row of a table with a figure and a unit of measured behaviour: time, memory,
size, rate, ratio, share, instructions. A table may have the unit in its header. A figure is not a claim if it is a
setting, or a bound that something else enforces, which the words directly around it say (`BOUND`), or, for whole
seconds, minutes and hours, if no word of the sentence says that it was measured.

A claim names its command if its block (a paragraph, an item of a list, a table), or a paragraph of the same section
that begins with "Measured by", has one of the commands that measure in backticks (`COMMANDS`); or if it links to a
section, or a page, with such a paragraph. A figure that links to docs/benchmarks.md must stand there, with its unit,
up to TOLERANCE: otherwise it is of an older run.
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
    r"|no more than|no longer than|within|above|below|larger than|longer than|fewer than|maximum|minimum|bound|default|quota"
    r"|throttled?|allows?|more than|less than|every|for so long"
)
AFTER = r"limits?|maximum|minimum|quota|at most|at the latest|by default|bound|or more|or less|or longer"
SETTING = r"(?-i:`[A-Z][A-Za-z_]{3,}`,? ?\(?|`[A-Z][A-Za-z_]{3,}=)"
BETWEEN = r" (?:of|to|is|are|at|a|an|the|further|about|only|(?-i:[A-Z]\w+)|\w+'s)\b"
BOUND_BEFORE = re.compile(rf"(?:\b(?:{BEFORE})\b(?:{BETWEEN})*:? |{SETTING})$", re.IGNORECASE)
BOUND_AFTER = re.compile(rf"^\)? ?(?:{AFTER})\b", re.IGNORECASE)

# The commands that print the figures, or whose own time or result a page states.
COMMANDS = (
    "make bench",
    "make build",
    "make chaos",
    "make check",
    "make fuzz",
    "make live-checks",
    "make mutants",
    "make notices",
    "make reproduce",
    "make run",
    "make test",
    "make test-adopt",
    "gatehouse migrate check --memory",
    "cargo test -p auth-tests --test it -- --ignored --nocapture",
    "local/mutants",
)
BY = re.compile(r"^(?:> )?Measured by ", re.MULTILINE)
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)]*))?\)")


@dataclasses.dataclass
class Section:
    """A heading's text up to the next heading."""

    anchor: str
    blocks: list

    def is_measured(self):
        return any(BY.search(block) and commands(block) for block in self.blocks)

    def figures(self):
        """What was measured: (number, unit), each in the base unit. How and where is not one of them."""
        found = set()
        for block in self.blocks:
            if block.lstrip().startswith("|"):
                found |= set(figures_in_table(block))
            elif not BY.search(block):
                found |= {based(number, fine or coarse) for number, fine, coarse in FIGURE.findall(joined(block))}
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
    """The commands in backticks of a block that measure."""
    found = []
    for quoted in re.findall(r"`([^`]+)`", joined(block)):
        # GATEHOUSE_ROUNDS=1 make bench; nice -n 19 local/mutants requests
        words = re.sub(r"^(?:[A-Z_]+=\S+ |nice (?:-n \d+ )?)*", "", quoted)
        if any(words == command or words.startswith(f"{command} ") for command in COMMANDS):
            found.append(quoted)
    return found


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
        # "| µs | 1 | 10 | 100 |": the unit of what grows with these numbers.
        if units[0] and re.fullmatch(NUMBER, heading):
            units[column] = units[0]
    for row in cells[2:]:
        for cell, unit in zip(row, units):
            if unit and (plain := PLAIN_CELL.match(cell)):
                yield based(plain[1], unit)
            for number, fine, coarse in FIGURE.findall(re.sub(r" \(.*?\)", "", cell)):
                yield based(number, fine or coarse)


def is_claim(sentence):
    """Whether a sentence has a figure that it does not state as something else."""
    for found in FIGURE.finditer(sentence):
        if BOUND_BEFORE.search(sentence[: found.start()]) or BOUND_AFTER.search(sentence[found.end() :]):
            continue
        if found[2] or MEASURED.search(sentence):
            return True
    return False


def unproven(pages, exceptions=()):
    """The claims of these pages, {path: text}, that name no command, or a figure that its link does not have."""
    parsed = {page: sections(text) for page, text in pages.items()}
    for page, its in parsed.items():
        for section in its:
            for block in section.blocks:
                for text in figures(block):
                    if any(phrase in text for where, phrase, _ in exceptions if where == page):
                        continue
                    if not names_command(text, block, section, page, parsed):
                        yield Claim(page, text, "no command measures it")
                if page != BENCHMARKS:
                    yield from outdated(block, page, parsed)


def names_command(text, block, section, page, parsed):
    # A row of a table stands for itself.
    around = text if text.lstrip().startswith("|") else block
    linked = any(one.is_measured() for _, one in targets(around, page, parsed))
    return linked or section.is_measured() or bool(commands(block))


def outdated(block, page, parsed):
    """Figures that a link to the benchmarks quotes and that do not stand there: those of the link's text, otherwise those
    in front of it, back to the previous link or the cell's start."""
    for part in block.splitlines() if block.lstrip().startswith("|") else [joined(block)]:
        begin = 0
        for link in LINK.finditer(part):
            quoted = [one for path, one in targets(link[0], page, parsed) if path == BENCHMARKS]
            before, begin = part[max(begin, part.rfind(" | ", 0, link.start())) : link.end()], link.end()
            label = before[before.rfind("[") :]
            there = {figure for one in quoted for figure in one.figures()}
            for number, fine, coarse in FIGURE.findall(label) or FIGURE.findall(before):
                if quoted and not stands_in(based(number, fine or coarse), there):
                    why = f"{number} {fine or coarse} is not in the section of {BENCHMARKS} that it links to"
                    yield Claim(page, before, why)


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
