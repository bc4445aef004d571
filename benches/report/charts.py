"""The charts of the report, as SVG that stands alone: no script, no font from elsewhere."""

import math

import pygal
from pygal.style import Style

STYLE = Style(
    background="white",
    plot_background="white",
    foreground="#333",
    foreground_strong="#111",
    foreground_subtle="#777",
    font_family="Helvetica, Arial, sans-serif",
    colors=("#1f5fa8", "#c8501e", "#3d8b37", "#7a4fa3", "#b08a00", "#00838f", "#9c2f5a"),
    title_font_size=17,
    label_font_size=12,
    major_label_font_size=12,
    legend_font_size=13,
    value_font_size=11,
    value_colors=("#111",) * 7,
    guide_stroke_color="#ddd",
    major_guide_stroke_color="#bbb",
    guide_stroke_dasharray="2,2",
    major_guide_stroke_dasharray="2,2",
)
COMMON = {
    "style": STYLE,
    "js": [],
    "width": 860,
    "legend_at_bottom": True,
    "disable_xml_declaration": True,
    "explicit_size": True,
    "show_legend": True,
}
GREY, BLUE, ORANGE = "#8a8f98", "#1f5fa8", "#c8501e"


def drawn(found):
    """The name and the SVG of each chart whose results are there."""
    for name, draw, part in CHARTS:
        if part in found.parts:
            yield from draw(name, found)


def bars(name, title, rows):
    """Horizontal bars: (label, value, colour), the first one on top."""
    chart = pygal.HorizontalBar(
        **COMMON | {"show_legend": False, "height": 90 + 26 * len(rows), "print_values": True},
        title=title,
        value_formatter=lambda value: f"{value:,.4g}",
        x_title="",
        truncate_label=-1,
        spacing=6,
        margin_right=60,
    )
    # pygal draws the first at the bottom.
    rows = list(reversed(rows))
    chart.x_labels = [label for label, *_ in rows]
    chart.add("", [{"value": value, "color": colour} for _, value, colour in rows])
    yield name, svg(chart, name)


def lines(name, title, x_title, series, x_labels):
    """Lines, both axes logarithmic: {label: [(x, y)]}."""
    rows = -(-len(series) // 2)
    chart = pygal.XY(
        **COMMON | {"height": 380 + 26 * rows, "dots_size": 3, "show_x_guides": True, "margin_bottom": 18 * rows},
        legend_at_bottom_columns=2,
        logarithmic=True,
        title=title,
        x_title=x_title,
        x_value_formatter=lambda value: f"{value:,.0f}",
        value_formatter=lambda value: f"{value:,.4g}" if value < 1e4 else f"{value:,.0f}",
        truncate_legend=-1,
        margin_right=30,
    )
    chart.x_labels = x_labels
    values = [y for points in series.values() for _, y in points]
    chart.y_labels = decades(min(values), max(values))
    for label, points in series.items():
        chart.add(label, points)
    yield name, svg(chart, name)


def decades(low, high):
    """The labels of a logarithmic axis: powers of ten, with 2 and 5 between them where there are few."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if len(powers) < 5 else (1,)
    labels = [step * 10.0**power for power in powers for step in steps]
    return [one for one in labels if low / 3 <= one <= high * 3]


def svg(chart, name):
    # Otherwise random, so that every run would change every chart.
    chart.uuid = f"bench-{name}"
    return chart.render(is_unicode=True) + "\n"


def verify(name, found):
    rows = []
    for row in found.rows("verify"):
        ours = row["bench"] == "decision"
        if "without Cedar" not in row["name"] and "Cedar's" not in row["name"]:
            rows.append((row["name"].replace("`", ""), row["ns"]["median"] / 1e3, BLUE if ours else GREY))
    rows.sort(key=lambda row: row[1])
    yield from bars(name, "One verification of an RS256 token, microseconds", rows)


def start(name, found):
    # Ratios, because the machine is faster beside one function than beside another.
    rows = sorted(found.rows("start"), key=lambda row: row["ratio"]["median"])
    shown = [(row["name"], row["ratio"]["median"], colour_of(row)) for row in rows]
    own = [bar for bar, row in zip(shown, rows) if row["kind"] != "peer"]
    yield from bars(name, "From exec to the first poll: CPU time as a multiple of whoami's", own)
    others = [bar for bar, row in zip(shown, rows) if row["kind"] == "peer" or row["name"] in COMPARED]
    yield from bars(f"{name}-beside", "The same beside Node and Python", others)


COMPARED = ("whoami", "authorizer")


def colour_of(row):
    return {"loopback": BLUE, "peer": GREY}.get(row["kind"], ORANGE)


def warm(name, found):
    rows = [
        (row["name"], row["cpu_us"]["median"], BLUE if row["name"].startswith("Gatehouse") else GREY)
        for row in found.rows("warm")
    ]
    yield from bars(name, "One warm invocation, microseconds of CPU time", rows)


def load(name, found):
    processors = found.parts["load"]["machine"]["processors"]
    title = f"Requests a second by the number of connections, {processors} processors for all"
    yield from rates(name, title, found.rows("load"))


def front_door(name, found):
    yield from rates(name, "Requests a second to the local front door, by the number of connections", found.rows("front-door"))


def rates(name, title, rows):
    series = {}
    for row in rows:
        series.setdefault(row["name"], []).append((row["connections"], row["rate"]))
    counts = sorted({x for points in series.values() for x, _ in points})
    yield from lines(name, title, "connections", series, counts)


def growth(name, found):
    for dimension, steps in found.growth().items():
        sizes = sorted({size for points in steps.values() for size, _ in points})
        labels = [size for size in sizes if str(size).rstrip("0") == "1"]
        series = {step: [(size, us["median"]) for size, us in points] for step, points in steps.items()}
        title = {"table": "Revocations of a user in DynamoDB Local"}.get(dimension, dimension.capitalize())
        counted = {"table": "rows"}.get(dimension, dimension)
        yield from lines(f"{name}-{dimension}", f"{title}: microseconds", counted, series, labels)


def quota(name, found):
    chosen = [row for row in found.rows("quota") if row["name"] == "Gatehouse" and row["period_ms"] in (None, 20)]
    chart = pygal.Bar(
        **COMMON | {"height": 400, "print_values": True, "print_values_position": "top"},
        legend_at_bottom_columns=3,
        title="By the memory of the function, with a period of 20 ms: milliseconds",
        value_formatter=lambda value: f"{value:,.3g}",
        truncate_legend=-1,
    )
    chart.x_labels = [f"{row['memory_mb']} MB" if row["memory_mb"] else "a whole core" for row in chosen]
    chart.add("a start", [row["start_ms"]["median"] for row in chosen])
    chart.add("an invocation now and then, p99", [row["rare"]["p99_ms"] for row in chosen])
    chart.add("back to back, p99", [row["busy"]["p99_ms"] for row in chosen])
    yield name, svg(chart, name)


CHARTS = [
    ("verify", verify, "verify"),
    ("start", start, "start"),
    ("warm", warm, "warm"),
    ("load", load, "load"),
    ("front-door", front_door, "front-door"),
    ("growth", growth, "growth"),
    ("quota", quota, "quota"),
]
