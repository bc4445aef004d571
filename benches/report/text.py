"""The text of the report: docs/benchmarks.md. Every figure in it comes from the results."""

import math
import textwrap

import results

WIDTH = 120
HEAD = """
# Benchmarks

`make bench` measures this again and writes a report with charts into `.local/bench`; each section names its own
command. The parts `before`, `tried` and `migration`, which take a quarter of an hour to build or to run, run only if
`PART` names them. The sections below took {minutes} minutes, after building, which takes longer the first time.
`QUICK=1` repeats little, to check that the benchmarks work; `BUILT=1` measures what was built before. `SAVE=1` replaces
this page and `benches/last`, where the results are as JSON, one measurement a line. It refuses `QUICK=1`, `BUILT=1` and
sources that no commit has; the parts {quiet} while other programs use the processors; and `start` if whoami's CPU time
beside one function is more than {steady:g} times that beside another.

The functions are release builds by this machine's cargo and linker. `make build` builds those of an account with
cargo-lambda, which links with zig, for the oldest processors of Lambda: their sizes, starts and instructions differ a
little.

A figure is the median; in brackets are the 10th and the 90th percentile of its repetitions. Times depend on the
machine and on the other programs that it runs, processor time least. Instructions, which valgrind counts in user space,
depend on the code alone. No figure was measured at AWS: [live-checks.md](live-checks.md) measures there. Tests assert
no times.
"""


def document(found, prefix):
    """The page; `prefix` leads from it to the charts."""
    minutes = math.ceil(sum(part["seconds"] for part in found.parts.values()) / 60)
    quiet = ", ".join(f"`{name}`" for name in results.QUIET)
    head = HEAD.strip().format(minutes=minutes, quiet=quiet, steady=results.STEADY)
    blocks = [one if one.startswith("#") else paragraph(one) for one in head.split("\n\n")]
    for part, section in SECTIONS:
        if part in found.parts:
            blocks += section(found, prefix)
    return "\n\n".join(blocks) + "\n"


# Parts of a section.


def measured(found, part):
    """When, where and by which command a section was measured. The test of claims looks for this line."""
    its = found.parts[part]
    at = its["machine"]
    rest = ", a quick run: not for publication" if its["quick"] else ""
    versions = ", ".join(f"{name} {its['versions'][name]}" for name in USED.get(part, ()) if name in its["versions"])
    changes = f" ({'; '.join(its['modified'])}: not for publication)" if its["modified"] else ""
    return paragraph(
        f"Measured by `{its['command']}` on {its['date']}: {at['processors']} cores of a shared {at['architecture']} "
        f"machine ({at['model']}, {at['memory_gb']} GB, Linux {at['kernel']}), commit "
        f"{its['commit']}{changes}; "
        f"load average {its['load'][0]} before and {its['load'][1]} after, which the benchmark itself raises; other programs "
        f"used {its['others'][0]} processors before and {its['others'][1]} after"
        f"{'; ' + versions if versions else ''}{rest}. {note(its)}"
    )


def note(its):
    """What a busy machine does to the figures of a part."""
    notes = []
    if results.is_busy(its):
        notes.append("Other programs used the processors too: rates are lower bounds, times are upper bounds.")
    if floors := results.unsteady(its):
        low, high = map(number, floors)
        notes.append(
            f"Other work disturbed the machine during the run: whoami's CPU time beside the functions is between "
            f"{low} and {high} ms. Compare the ratios, not the times."
        )
    return " ".join(notes)


def paragraph(text):
    return textwrap.fill(" ".join(text.split()), WIDTH, break_long_words=False, break_on_hyphens=False)


def table(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def chart(prefix, name, alternative):
    return f"![{alternative}]({prefix}bench-{name}.svg)"


def number(value):
    """Three significant digits."""
    if value is None:
        return ""
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}"


def spread(value, factor=1):
    median, low, high = (number(value[key] * factor) for key in ("median", "low", "high"))
    return f"{median} ({low} to {high})"


def count(value):
    return "" if value is None else f"{value:,.0f}"


def millions(value, digits=1):
    return "" if value is None else f"{value / 1e6:.{digits}f}"


# The sections.


def verify(found, prefix):
    decisions = found.rows("verify", "decision")
    floor = found.row("verify", bench="decision", name="bare RSA-2048 check")
    ours = found.row("verify", bench="decision", name="token verified")
    peers = sorted(found.rows("verify", "peer"), key=lambda row: row["ns"]["median"])
    rows = [
        [row["name"], spread(row["ns"], 1e-3), f"{row['ratio']['median']:.2f}", row["allocations"],
         count(row["instructions"])]
        for row in decisions
    ]  # fmt: skip
    others = [
        [row["name"], spread(row["ns"], 1e-3), f"{ratio(row):.2f}",
         f"{ratio(row) / ours['ratio']['median']:.2f}"]
        for row in peers
    ]  # fmt: skip
    own = (ours["ns"]["median"] - floor["ns"]["median"]) / 1e3
    yield "## A decision, without I/O"
    yield measured(found, "verify")
    yield paragraph(
        "Processor time of one thread, with keys and revocations in memory. The bare check is aws-lc's RSA-2048 "
        "signature check with a parsed key, the minimum of any verifier that uses it. Batches of calls of each line "
        "and of the bare check take turns; × is the median of the ratios of these pairs."
    )
    yield table(["what", "µs", "× bare check", "allocations", "instructions"], rows)
    yield paragraph(
        "Beside other verifiers, on the same token with the same keys, which each of them has parsed or imported before."
        " Each call looks up the token's key by its `kid`. The bare check is measured again directly before and after each"
        f" verifier, and × compares with that. In addition to the bare check Gatehouse takes {number(own)} µs."
    )
    yield table(["verifier", "µs", "× bare check", "× Gatehouse's verification"], others)
    yield chart(prefix, "verify", "A verification by several libraries, in microseconds")
    yield paragraph(
        "`openssl speed` is the signature check alone, by the system's OpenSSL. For Node and Python it is the "
        "processor time of the whole process; jose awaits WebCrypto, which uses another thread. jose and PyJWT do not "
        "know `client_id` and `token_use`, which the benchmark compares after them. "
        f"{FETCHING if any(row['name'].startswith('jwt-verify') for row in peers) else FETCHING_ALONE}"
    )


PROXY = (
    "only from Cognito's own address: a proxy on the loopback interface responds in its place "
    "(`benches/report/keys_proxy.py`)."
)
FETCHING = (
    f"jsonwebtokens-cognito and jwt-verify are asynchronous and fetch keys {PROXY} They have the keys before the first "
    "measured call, which then waits for nothing. jwt-verify trusts only the roots of the crate webpki-roots: a crate in "
    "its place (`benches/peers/rust/webpki-roots-of-the-proxy`) has the proxy's."
)
FETCHING_ALONE = (
    f"jsonwebtokens-cognito fetches keys {PROXY} These results are older than the line of jwt-verify, which trusts only "
    "the roots that are compiled into it: the benchmark now gives it the proxy's."
)


def ratio(peer):
    """To the bare check measured around it."""
    return peer["ns"]["median"] / peer["floor_ns"]["median"]


def start(found, prefix):
    floor = found.row("start", kind="loopback", name="whoami")
    rows = []
    for row in found.rows("start"):
        name = row["name"] + (" (a hello-world of `lambda_runtime`)" if row is floor else "")
        rows.append(
            [name, number(row["mb"]), spread(row["start_ms"]), spread(row["cpu_ms"]), number(row["floor_cpu_ms"]["median"]),
             paired(row), millions(row["instructions"]), number(row["resident_mb"]["median"])]
        )  # fmt: skip
    yield "## Start"
    yield measured(found, "start")
    yield paragraph(
        "From `exec` to the function's first poll for an event: the part of a cold start that the function's code "
        "decides. Key server and store are on the loopback interface. The functions for Node and Python consist of the "
        "loop of Lambda's runtime; their authorizers add one verification, one read of DynamoDB and a policy, without "
        "rules, limits and log."
    )
    yield paragraph(
        "Starts of each function and of whoami take turns, because the speed of the machine changes within minutes; "
        "each of the two starts first in half of the pairs, because a start finds the processor's caches as the "
        "previous one left them. *CPU, × whoami* is the median of the pairs' ratios, not the quotient of the two "
        "columns."
    )
    yield paragraph(
        "In the lines with TLS the function reaches key server and store by TLS, as in an AWS account. It trusts the "
        "stated number of root certificates and the benchmark's own, and reads them from the file that "
        "`SSL_CERT_FILE` names. In an account without another issuer the roots of AWS's own hosts, which are compiled "
        "in, are used instead; no server of this machine can have a certificate of theirs. The smaller file has these "
        "same roots, the larger one has the system's. So the lines include the reading of a file that such an account "
        "does not read."
    )
    header = ["function", "MB", "until the first poll, ms", "CPU, ms", "whoami's CPU beside it, ms", "CPU, × whoami",
              "million instructions", "resident, MB"]  # fmt: skip
    yield table(header, rows)
    yield chart(prefix, "start", "CPU time of a start as a multiple of whoami's, by function")
    yield chart(prefix, "start-beside", "The same, with functions for Node and Python")
    yield from parts_of_a_start(found)
    yield from goals(found, "start", START_GOALS)
    yield paragraph(ARM64)


def parts_of_a_start(found):
    """What each part of the authorizer's start costs, as differences of instructions between lines of the table."""
    counted = {row["name"]: row["instructions"] for row in found.rows("start")}
    with_tls = [name for name in counted if name.startswith("authorizer, TLS")]
    rows = [
        (part, counted.get(name), counted.get(less, 0) if less else 0, f"{name} − {less}" if less else name)
        for part, name, less in (
            ("process, runtime, log", "whoami", None),
            ("the SDK's client and the first call of the table", "connections", "whoami"),
            ("policies, key set, the rest of the configuration", "authorizer", "connections"),
            *(("TLS to key server and table, its roots, a second issuer", name, "authorizer") for name in with_tls),
        )
    ]
    if any(value is None or less is None for _, value, less, _ in rows):
        return
    yield paragraph(
        "The parts of the authorizer's start, in million instructions, as differences between lines. The third part "
        "contains the parsing of the policies, which the build has validated, with what Cedar prepares once in a "
        "process; the fetch and the parsing of the key set; and the reading of the configuration. In the lines with "
        "TLS the function fetches the key set of a second issuer, and has the pool's in its configuration, so their "
        "part contains the configuration of that issuer."
    )
    shown = [[part, millions(value - less), source] for part, value, less, source in rows]
    yield table(["part", "million instructions", "from"], shown)


def warm(found, prefix):
    rows = [
        [row["name"], spread(row["cpu_us"]), number(row["p50_us"]), number(row["p99_us"]), count(row["instructions"]),
         count(row["log_bytes"])]
        for row in found.rows("warm")
    ]  # fmt: skip
    yield "## A warm invocation"
    yield measured(found, "warm")
    yield paragraph(
        f"One process under a local Runtime API: the event over HTTP, the decision, one read of a store on the "
        f"loopback interface, the log line, the answer over HTTP. An expired token is verified and refused before the "
        f"store is read, so the read is most of the difference between the two lines. Gatehouse also evaluates Cedar "
        f"policies and logs; Node and Python do neither. CPU time includes the kernel's sockets; p50 and p99 are from "
        f"the event to the answer, on {found.parts['warm']['machine']['processors']} cores that also run the Runtime "
        f"API and the store."
    )
    yield table(["function", "CPU of an invocation, µs", "p50, µs", "p99, µs", "instructions", "log, bytes"], rows)
    yield chart(prefix, "warm", "CPU time of a warm invocation, by function")
    yield from goals(found, "warm", WARM_GOALS)


def before(found, prefix):
    packages = found.rows("before", "zip")
    rows = [
        [f"{row['name']}, {KINDS[row['kind']]}", *(spread(row[side]["cpu"]) for side in SIDES), paired(row),
         *(number(row[side]["took"]["median"]) for side in SIDES),
         *(millions(row[side]["instructions"], 2) for side in SIDES),
         *(number(row[side]["resident_mb"]["median"]) for side in SIDES)]
        for row in found.rows("before", "before")
    ]  # fmt: skip
    sizes = [[row["name"], *(number(row[side]) for side in SIDES)] for row in packages]
    yield "## Before and after"
    yield measured(found, "before")
    yield paragraph(
        f"The functions of commit {packages[0]['commit']}, the last one before the work on start and warm path, "
        f"beside those of this one, which has all changes since. Starts, or batches of invocations, of the two take "
        f"turns in one run; CPU after / before is the median of the pairs' ratios. With TLS each build reads from a "
        f"file the roots that it uses in an AWS account: the earlier one the system's, this one those of AWS's own "
        f"hosts. Times of a start are in ms, and end with the first poll; those of an invocation are in µs, and end "
        f"with the answer."
    )
    header = ["what", "CPU before", "CPU after", "CPU after / before", "time before", "after",
              "million instructions before", "after", "resident MB before", "after"]  # fmt: skip
    yield table(header, rows)
    yield paragraph(
        "The size of a package with the binary, compressed with deflate, in MB. Since the earlier commit the crates "
        "that read or sign a request's bytes are compiled for speed, so their code is larger; and the log macros of "
        "libraries below INFO compile to nothing, so their code is smaller."
    )
    yield table(["function", "before", "after"], sizes)
    yield from goals(found, "before", goals_before(found))


def paired(row):
    """A ratio of two builds, with its spread."""
    median, low, high = (row["ratio"][key] for key in ("median", "low", "high"))
    return f"{median:.2f} ({low:.2f} to {high:.2f})"


def tried(found, prefix):
    variants = dict.fromkeys(row["variant"] for row in found.rows("tried"))
    rows = []
    for variant in variants:
        its = {(row["kind"], row["name"]): row for row in found.rows("tried") if row["variant"] == variant}
        warm, start = its["warm", "authorizer"], its["start", "authorizer, TLS"]
        as_it_is, of_variant = (number(warm[side]["resident_mb"]["median"]) for side in SIDES)
        counted = [millions(row[side]["instructions"], 2) for row in (warm, start) for side in SIDES]
        rows.append([variant, paired(warm), " to ".join(counted[:2]), paired(start), " to ".join(counted[2:]),
                     f"{as_it_is} to {of_variant}", number(warm["zip"])])  # fmt: skip
    yield "## What was tried for the warm path"
    yield measured(found, "tried")
    yield paragraph(TRIED)
    header = ["variant", "CPU of an invocation, ×", "its million instructions", "CPU of a start with TLS, ×",
              "its million instructions", "resident, MB", "zip, MB"]  # fmt: skip
    yield table(header, rows)


TRIED = """
Starts, or batches of invocations, of the authorizer and of a variant take turns. × is the median of the pairs' ratios,
and *to* stands between the figures of the authorizer and of the variant. An allocator is preloaded, so a start includes
its dynamic linking, and the zip does not include it. No variant is used: what each saves of an invocation's processor
time is less than the spread of the pairs, and its package is larger, its start slower or its memory more. The
authorizer itself has, since the work on the warm path began: fewer timers, log lines without a tree of values, the
crates that read or sign a request's bytes at opt-level 3, the loop as a task, and no log macros of libraries below
INFO.
"""
KINDS = {"start": "a start", "warm": "an invocation"}
SIDES = ("before", "after")


def load(found, prefix):
    processors = found.parts["load"]["machine"]["processors"]
    yield "## Load of forward-auth"
    yield measured(found, "load")
    yield paragraph(
        f"wrk sends requests to an nginx with one worker, which asks forward-auth and proxies to another nginx. All of "
        f"them, wrk included, share {processors} cores, so the sum of the last column cannot exceed {processors}. "
        f"{of_runs(found, 'load')}"
    )
    yield of_connections(found, "load")
    yield chart(prefix, "load", "Requests a second by the number of connections, for each set-up")
    yield paragraph(
        f"What saturates first, from the processor time of a request at the highest rate of each set-up: all "
        f"{processors} processors, which the programs share, or the only thread of one program. forward-auth and "
        f"DynamoDB Local have a thread for each processor, every nginx and wrk have one thread. The last column is "
        f"the rate at which this limit is reached, rounded to two digits; a set-up in which programs wait for each "
        f"other stays below it."
    )
    yield limits(found, "load")
    if results.is_busy(found.parts["load"]):
        return
    one = {row["name"]: row for row in found.rows("load") if row["connections"] == 1}
    plain = one.get("nginx that only proxies")
    added = [
        f"{number(row['p50'] - plain['p50'])} ms ({name.removeprefix('nginx, ')})"
        for name, row in one.items()
        if name.startswith("nginx, ")
    ]
    yield paragraph(
        f"With one connection no program waits for a processor. An nginx that only proxies then takes "
        f"{number(plain['p50'])} ms at the median, and asking for the decision adds: {'; '.join(added)}."
    )


def front_door(found, prefix):
    yield "## Load of the local front door"
    yield measured(found, "front-door")
    yield paragraph(
        f"wrk sends requests to the API Gateway of the local stack, which `make run` starts, with release builds of the "
        f"functions and without the template's limits of requests. That API Gateway is an emulator in Python, whose "
        f"tables are in the same process: these rates say what the local stack bears, and nothing about AWS. "
        f"{of_runs(found, 'front-door')}"
    )
    yield of_connections(found, "front-door")
    yield chart(prefix, "front-door", "Requests a second to the local front door by the number of connections")
    yield paragraph(
        "What saturates first, as above: the emulator executes Python in one thread at a time, and starts a process of a "
        "function for each request at once. With few connections a set-up stays far below that rate: after each "
        "invocation the emulator waits up to 50 ms for lines of the function's log."
    )
    yield limits(found, "front-door")


def of_runs(found, part):
    """How often each set-up was measured."""
    runs = found.rows(part)[0]["runs"]
    return f"{'One run of each' if runs == 1 else f'In brackets the slowest and the fastest run, of {runs}'}; times in ms."


def of_connections(found, part):
    rows = [
        [row["name"], row["connections"], rate(row), number(row["p50"]), number(row["p99"]), used(row)]
        for row in found.rows(part)
        if row["connections"] in SHOWN_CONNECTIONS
    ]  # fmt: skip
    return table(["set-up", "connections", "requests/s", "p50", "p99", "processors used"], rows)


def limits(found, part):
    """What saturates first in each set-up, at its highest rate."""
    best = {}
    for row in found.rows(part):
        if row["name"] not in best or row["rate"] > best[row["name"]]["rate"]:
            best[row["name"]] = row
    processors = found.parts[part]["machine"]["processors"]
    rows = [[name, row["connections"], *limit(row, processors)] for name, row in best.items()]
    return table(["set-up", "connections", "first", "processor time of a request, µs", "most requests/s"], rows)


def rate(row):
    slowest, fastest = row["rate_low"], row["rate_high"]
    return f"{row['rate']:,.0f}" + (f" ({slowest:,.0f} to {fastest:,.0f})" if row["runs"] > 1 else "")


def used(row):
    """Without the processors' idle rest."""
    return ", ".join(f"{name} {share:.2f}" for name, share in sorted(row["used"].items(), key=lambda pair: -pair[1]))


def limit(row, processors):
    """What saturates first, what a request takes of each program, and how many requests a second that allows."""
    each = row["cpu_us"]
    limits = {f"all {processors} processors": processors * 1e6 / sum(each.values())}
    of_one_thread = {name: took for name, took in each.items() if name in ONE_THREAD and took}
    limits |= {f"the thread of {name}": 1e6 / took for name, took in of_one_thread.items()}
    first = min(limits, key=limits.get)
    largest = sorted(each.items(), key=lambda pair: -pair[1])
    shown = ", ".join(f"{name} {digits(took)}" for name, took in largest if took)
    return first, shown, digits(limits[first])


def digits(value):
    """Two significant digits."""
    if value == 0:
        return "0"
    rounded = float(f"{value:.1e}")
    return f"{rounded:,.{max(0, 1 - math.floor(math.log10(abs(rounded))))}f}"


# An nginx has one worker. The other programs have several threads or processes.
ONE_THREAD = ("nginx", "allowing nginx", "backend", "wrk", "the emulator")


def growth(found, prefix):
    yield "## Growth"
    yield measured(found, "growth")
    yield paragraph(
        f"Processor time of one decision of forward-auth, called in the benchmark's process, and of the step that "
        f"depends on the number; for the table the time of a read. The exponent is the slope of a line through the "
        f"logarithms (least squares), for all sizes and from {results.LARGE} on: 0 is a cost that does not depend on "
        f"the number, 1 is proportional to it."
    )
    for dimension, steps in found.growth().items():
        title, text = DIMENSIONS[dimension]
        sizes = [size for size in SHOWN_SIZES if any(size == one for points in steps.values() for one, _ in points)]
        rows = []
        for step, points in steps.items():
            at = dict(points)
            fits = [results.exponent(points), results.exponent(points, results.LARGE)]
            cells = [several(at[size]) if size in at else "" for size in sizes]
            rows.append([step, *cells, *("" if fit is None else f"{round(fit, 2) + 0.0:.2f}" for fit in fits)])
        yield f"### {title}"
        yield paragraph(f"{text} {filled(found) if dimension == 'table' else ''}")
        header = ["µs", *(f"{size:,}" for size in sizes), "exponent", f"from {results.LARGE} on"]
        yield table(header, rows)
        yield chart(prefix, f"growth-{dimension}", f"{title}: cost by number, both axes logarithmic")


def several(us):
    """A spread, unless it is of one value."""
    return number(us["median"]) if us["low"] == us["high"] else spread(us)


def filled(found):
    """How the table of DynamoDB Local was filled, how fast, and of what its p99 is."""
    rows = [row for row in found.rows("growth", "growth") if "filled_seconds" in row]
    if len(rows) < 2:
        return ""
    last = rows[-1]
    seconds = last["filled_seconds"]
    a_second = (last["size"] - rows[-2]["size"]) / seconds
    if "writers" in last:
        how = f"{last['writers']} tasks write it at once, into a file in `{last['folder']}`. "
        p99 = f"The p99 is the median of {last['us']['runs']} runs, in brackets the fastest and the slowest."
    else:
        how, p99 = "", "The p99 is of one run and has no spread."
    how += f"The last {last['size'] - rows[-2]['size']:,} rows took {seconds:.0f} s, {digits(a_second)} a second"
    if last["size"] < SHOWN_SIZES[-1]:
        minutes = (SHOWN_SIZES[-1] - last["size"]) / a_second / 60
        how += f"; {SHOWN_SIZES[-1]:,} would take {digits(minutes)} minutes more"
    return f"{how}. {p99}"


def quota(found, prefix):
    rows = [
        [row["name"], row["memory_mb"] or "a whole core", row["period_ms"] and number(row["period_ms"]) or "",
         spread(row["start_ms"]), *(number(row[kind][f"{percent}_ms"]) for kind in ("rare", "busy")
                                    for percent in ("p50", "p99"))]
        for row in found.rows("quota")
    ]  # fmt: skip
    yield "## At the processor share of a small function"
    yield measured(found, "quota")
    yield paragraph(
        "Lambda gives a function of 1,769 MB one processor, and a share in proportion below. Here the kernel's "
        "bandwidth control (control group `cpu`) allows the process that share of every period, after which it waits "
        "for the next. AWS does not document its period, so two are measured. Times in ms; store and Runtime API are "
        "outside of the group. *Now and then* is an invocation every 50 ms on average, *back to back* is without a "
        "pause, as in a load test of one environment."
    )
    header = ["function", "MB", "period", "start", "now and then: p50", "p99", "back to back: p50", "p99"]
    yield table(header, rows)
    yield chart(prefix, "quota", "Start and invocations at the share of 512, 256 and 128 MB")
    yield from advice(found)


def advice(found):
    at = {
        memory: found.row("quota", name="Gatehouse", memory_mb=memory, period_ms=20) for memory in (128, 256, 512)
    }
    at |= {f"{memory}, 100": found.row("quota", name="Gatehouse", memory_mb=memory, period_ms=100) for memory in at}
    if not all(at.values()):
        return
    small, usual, large = at[128], at[256], at[512]
    rare = [f"{number(row['rare']['p99_ms'])} ms" for row in (small, usual, large)]
    busy = [f"{number(row['busy']['p99_ms'])} ms" for row in (small, usual, large)]
    starts = [f"{row['start_ms']['median']:.0f} ms" for row in (small, usual, large)]
    long = [f"{at[f'{memory}, 100']['start_ms']['median']:.0f} ms" for memory in (128, 256)]
    yield "Conclusions:"
    yield "\n".join(
        textwrap.fill(
            " ".join(line.split()), WIDTH, initial_indent="- ", subsequent_indent="  ",
            break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip
        for line in (
            f"An invocation uses a fraction of a millisecond, which is less than the share of one period: at the "
            f"median an environment that is not busy does not notice the quota. Its p99 is {rare[0]} at 128 MB, {rare[1]} at "
            f"256 MB and {rare[2]} at 512 MB.",
            f"An environment that is busy all the time waits for the next period: p99 {busy[0]}, {busy[1]} and "
            f"{busy[2]}. Lambda sends an environment one request at a time and starts another one while it is busy, so"
            f" this is the worst case of a spike.",
            f"A start takes {starts[0]}, {starts[1]} and {starts[2]}, and with periods of 100 ms {long[0]} at 128 MB and "
            f"{long[1]} at 256 MB: a start that has used the share of a period waits for the next one.",
            "So 256 MB, the template's, is enough for a steady load, and 128 MB if the tail of a spike does not "
            "matter. Where starts are too slow, more memory shortens them; provisioned concurrency removes them "
            "([operations.md](operations.md#memory-and-provisioned-concurrency)).",
        )
    )


def other(found, prefix):
    rows = [[row["name"], spread(row["us"]), f"{row['ratio']['median']:.2f}"] for row in found.rows("other", "phantom")]
    mail = found.row("other", bench="mail")
    yield "## Phantom tokens and mails"
    yield measured(found, "other")
    yield paragraph(
        "A phantom token, beside a bare ES256 signature of the same run. A part of the difference is that "
        "`jsonwebtoken` parses the key for every signature."
    )
    yield table(["what", "µs", "× bare ES256 signature"], rows)
    yield paragraph(
        f"custom-message renders a mail in {number(mail['p50_us'])} µs at the median and {number(mail['p99_us'])} µs at"
        f" the 99th percentile ({mail['mails']:,} mails of {mail['kinds']} kinds, warm)."
    )


def migration(found, prefix):
    moved = found.row("migration", bench="migration")
    refused = found.rows("migration", "refusals")
    yield "## Migration"
    yield measured(found, "migration")
    yield paragraph(
        f"migrate-user migrates {moved['users']:,} users from PostgreSQL, one after the other, at "
        f"{number(moved['per_second'])} a second (bcrypt at cost 5) with {moved['failures']} failures; "
        f"{number(moved['before_mb'])} MB are resident before and {number(moved['after_mb'])} MB after."
    )
    yield paragraph(
        "Whether a client can distinguish refusals by their time: each kind is measured twice, so that two lists of one "
        "kind show the machine's noise. The p of a Kolmogorov-Smirnov test is small if two lists differ by more than "
        "chance."
    )
    rows = []
    for function in dict.fromkeys(row["function"] for row in refused):
        its = [row for row in refused if row["function"] == function]
        medians = ", ".join(f"{row['kind']} {row['median_us']:,.0f}" for row in its if "kind" in row)
        between = [row["p"] for row in its if "between" in row and row["between"][0] != row["between"][1]]
        within = [row["p"] for row in its if "between" in row and row["between"][0] == row["between"][1]]
        rows.append([function, medians, to(between), to(within)])
    yield table(["function", "medians, µs", "p between kinds", "p within a kind"], rows)


def to(values):
    low, high = min(values), max(values)
    return f"{low:.3f}" if low == high else f"{low:.3f} to {high:.3f}"


# What was asked of start and warm path, with what was measured.


def goals(found, part, wanted):
    """A table of goals; each cause of a missed one stands below, with the goals. Other figures than times are judged on
    a busy machine, too."""
    busy = results.is_busy(found.parts[part])
    rows, causes = [], {}
    for name, bound, value, cause in wanted:
        measured_value = value(found)
        if measured_value is None:
            continue
        held = measured_value >= bound[1] if bound[0] == "at least" else measured_value <= bound[1]
        if busy and any(word in name for word in OF_TIME):
            judged = "not judged: the machine was busy"
        else:
            judged = "yes" if held else "no"
        if judged == "no":
            causes.setdefault(cause(found) if callable(cause) else cause, []).append(name)
        rows.append([name, f"{bound[0]} {bound[1]:g}", number(measured_value), judged])
    if rows:
        yield table(["goal", "asked", "measured", "reached"], rows)
    for cause, names in causes.items():
        yield paragraph(f"{'; '.join(names)}: {cause}")


OF_TIME = ("CPU", " ms")


def instructions_with_tls(found):
    """With the roots that the authorizer has in an account: AWS's, if it has them. Only on x86_64: see ARM64."""
    if found.parts["start"]["machine"]["architecture"] != "x86_64":
        return None
    rows = [row for row in found.rows("start") if row["kind"].startswith("tls") and row["name"].startswith("authorizer")]
    return rows and rows[0]["instructions"] and rows[0]["instructions"] / 1e6 or None


def cause_of_tls(found):
    plain = found.row("start", kind="loopback", name="authorizer")
    return (
        f"without TLS the authorizer's start takes {millions(plain['instructions'])} million. The difference contains "
        f"the handshakes, the parsing of the roots and the second issuer."
    )


def start_ratio(name):
    def value(found):
        row = found.row("start", kind="loopback", name=name)
        return row and row["ratio"]["median"]

    return value


def warm_ratio(found):
    ours, node = (found.row("warm", name=name) for name in ("Gatehouse", "Node"))
    return ours and node and node["cpu_us"]["median"] / ours["cpu_us"]["median"]


def cause_of_warm(found):
    ours, refusal = (found.row("warm", name=name) for name in ("Gatehouse", WITHOUT_STORE))
    whole, read = ours["cpu_us"]["median"], ours["cpu_us"]["median"] - refusal["cpu_us"]["median"]
    return (
        f"both use the kernel's sockets alike, three requests an invocation. The difference between Gatehouse's two "
        f"lines, most of it the SDK's read of the table, is {number(read)} of {number(whole)} µs. What was tried: "
        f"`make bench PART=tried`."
    )


def goals_before(found):
    """Of each function whose builds are compared: neither its package nor its memory has grown."""
    with_tls = found.row("before", bench="before", kind="start", name="authorizer, TLS")
    took = with_tls and with_tls["after"]["took"]["median"] / with_tls["before"]["took"]["median"]
    yield (
        "authorizer with TLS, ms until the first poll, after / before",
        ("at most", 0.5),
        lambda _: took,
        "the section *Start* has the parts of a start.",
    )
    for row in found.rows("before", "zip"):
        yield f"{row['name']}, zip, after / before", ("at most", 1), always(row["after"] / row["before"]), GROWN
    for row in found.rows("before", "before"):
        if row["kind"] == "start":
            memory = row["after"]["resident_mb"]["median"] / row["before"]["resident_mb"]["median"]
            yield f"{row['name']}, resident memory of a start, after / before", ("at most", 1), always(memory), GROWN


def always(value):
    return lambda _: value


GROWN = "crates that all functions share are compiled for speed since the earlier commit, so their code is larger."
WITHOUT_STORE = "Gatehouse, without the store: an expired token"
ARM64 = """
The goal of the authorizer with TLS is for x86_64, where the build switches off the entropy that aws-lc collects from
the processor's jitter. On arm64 it stays on, because Lambda's arm64 processors lack `RDRAND`: the first TLS handshake
of a start collects it, for which 420 million instructions were counted
([ARCHITECTURE.md](../ARCHITECTURE.md#design-decisions)), so the goal is not reached there.
"""
START_GOALS = [
    ("authorizer with TLS on x86_64, million instructions", ("at most", 22), instructions_with_tls, cause_of_tls),
    (
        "custom-message, CPU × whoami",
        ("at most", 1.3),
        start_ratio("custom-message"),
        "it reads its brand's texts and layout at the start, so that no mail waits for them.",
    ),
    (
        "pre-token-generation, CPU × whoami",
        ("at most", 1.3),
        start_ratio("pre-token-generation"),
        "it reads its rules from the configuration, and is a larger binary, although the log macros of libraries below "
        "INFO compile to nothing.",
    ),
]
WARM_GOALS = [
    (
        "Node's CPU / Gatehouse's, with the store",
        ("at least", 3),
        warm_ratio,
        cause_of_warm,
    )
]

SHOWN_CONNECTIONS = (1, 32, 128)
SHOWN_SIZES = (1, 10, 100, 1_000, 10_000, 100_000, 1_000_000)
DIMENSIONS = {
    "routes": (
        "Routes",
        "The request is for the last of the routes of forward-auth (`ROUTES_FILE`). The authorizer refuses more than "
        "200 with `POLICY_SCOPE=api`.",
    ),
    "groups": (
        "Groups of the caller",
        "The token names the groups, so it grows with them: it is parsed, its signature is hashed over all of it, and "
        "each group becomes an entity for Cedar. Tokens above `MAX_TOKEN_BYTES` are refused: 8,192 bytes hold fewer "
        "than 400 groups of this length. An exponent above 1 agrees with the processor's caches: of 10,000 groups each "
        "misses them more often than of 1,000, as cachegrind counts.",
    ),
    "policies": (
        "Policies",
        "Two shipped policies and this number of others, each a `permit` with a condition for a different group. "
        "Cedar evaluates every policy at each decision; a start parses and validates each. An exponent above 1 agrees "
        "with the processor's caches, as for groups. Each line parses its own policies, and Cedar's time for 10,000 "
        "differs between equal sets in one process by more than the rest of a decision takes: there the difference of "
        "the two lines says nothing.",
    ),
    "issuers": (
        "Issuers",
        "The token's issuer is the last of the configured ones, which are compared one after the other.",
    ),
    "revocations": (
        "Revocations in memory",
        "forward-auth's store in memory has this number of revoked sessions of the caller. The session of the request "
        "is valid.",
    ),
    "table": (
        "Revocations in a table",
        "The same in DynamoDB Local on the loopback interface, read by the store that the authorizer uses: one "
        "`BatchGetItem` of at most six keys. DynamoDB Local's SQLite file grows, DynamoDB's partitions do not; the "
        "checker asserts the number of reads ([testing.md](testing.md#the-checker)).",
    ),
}
USED = {
    "verify": ("rustc", "Node", "Python", "OpenSSL", "aws-jwt-verify", "jose", "PyJWT", "jwt-verify",
               "jsonwebtokens-cognito"),
    "start": ("rustc", "Node", "Python", "@aws-sdk/client-dynamodb", "boto3"),
    "warm": ("rustc", "Node", "Python", "@aws-sdk/client-dynamodb", "boto3"),
    "before": ("rustc",),
    "tried": ("rustc",),
    "growth": ("rustc",),
    "quota": ("rustc", "Node"),
}  # fmt: skip
SECTIONS = [
    ("verify", verify),
    ("start", start),
    ("warm", warm),
    ("tried", tried),
    ("before", before),
    ("quota", quota),
    ("load", load),
    ("front-door", front_door),
    ("growth", growth),
    ("other", other),
    ("migration", migration),
]
