"""Finds figures that README.md and docs/*.md claim about Gatehouse without saying how to measure them.

A claim is a sentence, a list item or a row of a table with a figure and a unit of measured behaviour: time, memory,
size, rate, ratio, share, instructions. A table may have the unit in its header. It is none if it states a setting, or
a bound that something else enforces (`KINDS`), or, for whole seconds, minutes and hours, if no word says that it was
measured.

A claim names its command if its block (paragraph, list or table), or a paragraph of the same section that begins with
"Measured by", has a command in backticks that prints the figure (`COMMAND`); or if it links to a section, or a page,
with such a paragraph. A figure that links to docs/benchmarks.md must be one that stands there, up to TOLERANCE:
otherwise it is of an older run.
"""

import dataclasses
import re

# Two runs on a shared machine differ by so much.
TOLERANCE = 0.1

# "20 times" alone is how often something happens.
TIMES = r"times(?= (?:as|the|that|Gatehouse|less|more|faster|slower|cheaper|longer|a)\b)"
FINE = rf"ms|µs|us|milliseconds?|microseconds?|[KMG]B|×|{TIMES}|%|(?:million )?instructions|(?:\w+ )?a second|\w+/s"
COARSE = r"s|seconds?|min|minutes?|hours?"
NUMBER = r"(?<![\w.$/^-])\d[\d,]*(?:\.\d+)?"
FIGURE = re.compile(rf"({NUMBER})[\s-]?(?:({FINE})|({COARSE}))(?![\w/])")
# In the header of a table: "p99, ms", "µs", "requests/s, 32 connections", "CPU, × whoami".
UNIT_IN_HEADER = re.compile(rf"(?:^|, |\()(?:{FINE}|{COARSE})(?:$|[,: )])|(?:^|, )(?:x|×) ")
PLAIN_CELL = re.compile(rf"^{NUMBER}(?: \(.*\))?$")

MEASURED = re.compile(
    r"\b(?:measure[sd]?|took(?! longer)|medians?|percentile|p50|p99|processor time|CPU|resident|starts in|times as|faster|slower"
    r"|cores?|processors?|cheaper|on this machine|in a run|of a run)\b"
)
# What a figure may be instead of a measured one, and how a sentence shows it.
KINDS = {
    "a bound that code or a setting enforces, and a test asserts": (
        r"\b(?:at most|at least|at the latest|most every|limits?|limited|exceeds?|exceeded|refused? (?:above|more)|up to"
        r"|no more than|within|above|below|larger|longer|fewer|maximum|minimum|bound|default|quota|throttled?|allows?"
        r"|[Mm]ore than|less than|for so long)\b"
    ),
    "a setting, with its value": r"`[A-Za-z_-]{4,}`,? \(?\d|`[A-Za-z]{4,}=\w+`",
}
COMMAND = re.compile(r"`(?:[A-Z_]+=\S+ )*(?:make (?!deploy|run\b|stop)[a-z-]+|cargo|gatehouse|local/|\.ci/run)[^`]*`|`make run`")
BY = re.compile(r"^(?:> )?Measured by ", re.MULTILINE)
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)]*))?\)")


@dataclasses.dataclass
class Section:
    """A heading's text up to the next heading."""

    anchor: str
    blocks: list

    def is_measured(self):
        return any(BY.search(block) and COMMAND.search(block) for block in self.blocks)

    def text(self):
        return "\n\n".join(self.blocks)


@dataclasses.dataclass
class Claim:
    """A figure without a command."""

    page: str
    text: str
    why: str

    def __str__(self):
        return f"{self.page}: {self.why}: {self.text}"


def sections(text):
    """The sections of a page, without fenced code."""
    text = re.sub(r"^( *)```.*?^\1```$", "", text, flags=re.MULTILINE | re.DOTALL)
    found = [Section("", [])]
    for block in re.split(r"\n\s*\n", text):
        # A heading may stand directly above its text.
        for part in re.split(r"^(#+ .*)$", block, flags=re.MULTILINE):
            if part.startswith("#"):
                found.append(Section(anchor_of(part.lstrip("# ")), []))
            elif part.strip():
                found[-1].blocks.append(part.strip("\n"))
    return found


def anchor_of(heading):
    """As GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def figures(block):
    """The parts of a block with a figure that is claimed."""
    if block.lstrip().startswith("|"):
        yield from figures_of_table(block)
        return
    items = re.split(r"^\s*(?:[-*]|\d+\.) ", block, flags=re.MULTILINE)
    for item in items:
        for sentence in re.split(r"(?<=[.:;])\s+(?=[A-Z`*\[(])", " ".join(item.split())):
            if is_claim(sentence):
                yield sentence


def figures_of_table(block):
    lines = [line for line in block.splitlines() if line.lstrip().startswith("|")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))] for line in lines]
    units = [bool(UNIT_IN_HEADER.search(cell)) for cell in cells[0]]
    for line, row in zip(lines[2:], cells[2:]):
        if is_claim(line) or any(unit and PLAIN_CELL.match(cell) for cell, unit in zip(row, units)):
            yield line


def is_claim(sentence):
    """Whether a sentence has a figure that it does not state as something else."""
    found = FIGURE.findall(sentence)
    if MEASURED.search(sentence):
        return bool(found)
    if any(re.search(words, sentence) for words in KINDS.values()):
        return False
    return any(fine for _, fine, _ in found)


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
    return linked or section.is_measured() or bool(COMMAND.search(block))


def outdated(block, page, parsed):
    """Figures that a link to the benchmarks quotes and that do not stand there: those of the link's text, otherwise those
    in front of it, back to the previous link or the cell's start."""
    for part in block.splitlines() if block.lstrip().startswith("|") else [" ".join(block.split())]:
        begin = 0
        for link in LINK.finditer(part):
            quoted = [one for path, one in targets(link[0], page, parsed) if path == BENCHMARKS]
            before, begin = part[max(begin, part.rfind(" | ", 0, link.start())) : link.end()], link.end()
            label = before[before.rfind("[") :]
            there = [value(number) for one in quoted for number in re.findall(NUMBER, one.text())]
            for number, *_ in FIGURE.findall(label) or FIGURE.findall(before):
                if quoted and not stands_in(value(number), there):
                    why = f"{number} is not in the section of {BENCHMARKS} that it links to"
                    yield Claim(page, before, why)


def value(number):
    return float(number.replace(",", ""))


def stands_in(number, there):
    """Whether a section has this number, perhaps in another unit: thousands, millions, or a thousandth."""
    factors = (1, 1e-3, 1e3, 1e-6)
    return any(abs(number - one * factor) <= TOLERANCE * number for one in there for factor in factors)


BENCHMARKS = "docs/benchmarks.md"


def targets(text, page, parsed):
    """The sections that a text links to; all of a page without an anchor."""
    folder = page.rpartition("/")[0]
    for path, anchor in LINK.findall(text):
        path = f"{folder}/{path}".lstrip("/") if path else page
        for section in parsed.get(path, ()):
            if not anchor or section.anchor == anchor:
                yield path, section
