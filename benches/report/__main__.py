"""Runs the benchmarks and writes one report of them: `make bench`.

    report [PART ..] [--save]    measures these parts (all but `migration`, `before` and `tried`), and writes
                                 .local/bench/report.md
    report --render              only writes docs/benchmarks.md again, from the results of the last run in benches/last

With --save, docs/benchmarks.md is written with the results, which then replace those in benches/last. Each part
replaces only its own results, as soon as it was measured, so a report may have parts of several dates: every section
has its own. A part that fails does not stop the others. GATEHOUSE_QUICK=1 measures little, in seconds;
GATEHOUSE_BUILT=1 measures what was built before, GATEHOUSE_BIN_DIR the functions of another folder. None of these is
saved, and neither is a result of sources that no commit has, because the page names the commit. The parts of
`results.QUIET` are not saved from a machine where other programs use the processors, and `start` is not saved if
whoami's time varies within the run. Results that another version has written are left out, with a line.
"""

import os
import pathlib
import shutil
import subprocess
import sys

import charts
import parts
import results
import text

ROOT = pathlib.Path(__file__).resolve().parents[2]
FRESH, LAST = ROOT / ".local/bench", ROOT / "benches/last"
DOCUMENT, PICTURES = ROOT / "docs/benchmarks.md", ROOT / "docs/pictures"


def main(arguments):
    save, render = "--save" in arguments, "--render" in arguments
    chosen = [one for one in arguments if one not in ("--save", "--render")]
    quick = "GATEHOUSE_QUICK" in os.environ
    if unknown := [one for one in chosen if one not in parts.PARTS]:
        raise SystemExit(f"{', '.join(unknown)}: none of the parts {', '.join(parts.PARTS)}")
    if save and quick:
        raise SystemExit("a quick run is not saved")
    if not render and (why := parts.no_checkout()):
        raise SystemExit(why)
    if save and (why := parts.modified()):
        raise SystemExit(f"not saved, because the page names the commit that was measured: {'; '.join(why)}")
    failed = []
    if not render:
        FRESH.mkdir(parents=True, exist_ok=True)
        # One that is asked for by its name fails where it cannot run.
        skipped = {} if chosen else {name: why for name in parts.USUAL if (why := parts.lacking(name))}
        for name in chosen or parts.USUAL:
            if name in skipped:
                print(f"\n**** {name} is skipped: {skipped[name]} ****", flush=True)
            elif why := measure(name, save):
                print(f"**** {name}: {why} ****", flush=True)
                failed.append(name)
    # The saved page first: it is written even if the fresh one cannot be.
    if save or render:
        write(results.Results.read(LAST), DOCUMENT, PICTURES, "pictures/")
        print(f"==> {DOCUMENT.relative_to(ROOT)}")
    if not render:
        write(results.Results.read(FRESH), FRESH / "report.md", FRESH, "")
        print(f"\n==> {(FRESH / 'report.md').relative_to(ROOT)}")
    if failed:
        print(f"**** not measured, or not saved: {', '.join(failed)} ****")
    return 1 if failed else 0


def measure(name, save):
    """Measures a part, and saves it at once; returns why it was not measured or not saved."""
    if why := parts.lacking(name):
        return why
    if save and name in results.QUIET and (why := parts.busy_now()):
        return f"not measured, because it would not be saved: {why}"
    try:
        part = parts.measured(name)
    except (SystemExit, OSError, subprocess.CalledProcessError) as error:
        return error
    file = FRESH / f"{name}.json"
    file.write_text(results.as_json(part))
    if save and part["modified"]:
        return f"not saved: {'; '.join(part['modified'])}"
    if save and name in results.QUIET and results.is_busy(part):
        return "not saved: other programs used the processors when it began or ended"
    if save and (floors := results.unsteady(part)):
        return (
            f"not saved: other work disturbed the machine during the run. whoami's CPU time beside the functions is "
            f"between {floors[0]:.2f} and {floors[1]:.2f} ms: more than a factor of {results.STEADY:g}"
        )
    if save:
        LAST.mkdir(exist_ok=True)
        # The page before the results: a part that cannot be rendered replaces neither.
        found = results.Results.read(LAST)
        found.parts[name] = part
        write(found, DOCUMENT, PICTURES, "pictures/")
        shutil.copy(file, LAST)
    return None


def write(found, document, pictures, prefix):
    """Writes a page with its charts, once all of it is rendered."""
    page, drawn = text.document(found, prefix), list(charts.drawn(found))
    document.write_text(page)
    for name, svg in drawn:
        (pictures / f"bench-{name}.svg").write_text(svg)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
