"""Draws the dashboard from its definition: each widget with its title and what it shows, without data.

    .tools/sam/bin/python tests/template/draw.py docs/pictures/dashboard.svg
"""

import html
import pathlib
import re
import sys

import operations
import parameters
import stack

COLUMN, ROW, LINE, MARGIN = 50, 36, 15, 4
COLOURS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2")
STYLE = "text{font:12px sans-serif;fill:#16191f}.title{font-weight:bold}.widget{fill:#fff;stroke:#c6cacf}.page{fill:#f2f3f3}"


def drawn(made):
    widgets = operations.body_of(made)["widgets"]
    width = operations.COLUMNS * COLUMN
    height = max(each["y"] + each["height"] for each in widgets) * ROW
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
        "<title>The dashboard: its widgets and what each shows</title>",
        f"<style>{STYLE}</style>",
        f'<rect class="page" width="{width}" height="{height}"/>',
    ]
    for widget in widgets:
        lines += frame(widget)
    return "\n".join([*lines, "</svg>", ""])


def frame(widget):
    x, y = widget["x"] * COLUMN + MARGIN, widget["y"] * ROW + MARGIN
    width, height = widget["width"] * COLUMN - 2 * MARGIN, widget["height"] * ROW - 2 * MARGIN
    yield f'<rect class="widget" x="{x}" y="{y}" width="{width}" height="{height}" rx="3"/>'
    properties = widget["properties"]
    top = y + 20
    if "title" in properties:
        yield text(x + 12, top, properties["title"], "title")
        top += LINE + 6
    if widget["type"] == "alarm":
        yield from alarms(properties, x, top, width)
        return
    for at, label in enumerate(shown(widget, width)):
        left = x + 12
        if widget["type"] == "metric":
            yield f'<rect x="{left}" y="{top - 9}" width="12" height="9" fill="{COLOURS[at % len(COLOURS)]}"/>'
            left += 18
        yield text(left, top, label)
        top += LINE


def alarms(properties, x, y, width):
    columns = 5
    for at, arn in enumerate(properties["alarms"]):
        name = arn.strip("<>").removesuffix(".Arn")
        left, top = x + 12 + at % columns * (width // columns), y + at // columns * LINE * 1.3
        yield f'<circle cx="{left + 5}" cy="{top - 4:g}" r="5" fill="#1d8102"/>'
        yield text(left + 16, f"{top:g}", name)


def shown(widget, width):
    """The lines of text of a widget: its legend, or the columns of its table."""
    properties = widget["properties"]
    match widget["type"]:
        case "text":
            return wrapped(re.sub(r"[*`]", "", properties["markdown"]), width // 7)
        case "log":
            query = properties["query"].rpartition("SOURCE ")[2].partition("| ")[2]
            return wrapped(query, width // 7)
    labels = []
    for row, metric in zip(properties["metrics"], operations.metrics_of(properties["metrics"]), strict=True):
        options = row[-1] if isinstance(row[-1], dict) else {}
        if isinstance(metric, str):
            name, by = re.search(r',(\w+)\} MetricName="(\w+)"', metric).group(2, 1)
            labels.append(f"{name}, one line for each {by}")
        else:
            labels.append(options.get("label") or metric[-1].strip("<>"))
    return labels


def wrapped(words, columns):
    lines = [""]
    for word in words.split():
        if len(lines[-1]) + len(word) >= columns:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def text(x, y, value, kind=""):
    return f'<text x="{x}" y="{y}"{f" class={kind!r}" if kind else ""}>{html.escape(value)}</text>'.replace("class='title'", 'class="title"')


def main(path):
    made = stack.Parsed(stack.text()).stack(parameters.SETS["observed WebSockets"])
    pathlib.Path(path).write_text(drawn(made))


if __name__ == "__main__":
    main(*sys.argv[1:])
