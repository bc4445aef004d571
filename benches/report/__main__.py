"""Runs the benchmarks and writes one report of them: `make bench`.

    report [PART ..] [--save]    measures these parts (all but `migration`), and writes .local/bench/report.md
    report --render              only writes docs/benchmarks.md again, from the results of the last run in benches/last

With --save, the results replace those in benches/last, and docs/benchmarks.md is written from them. Each part replaces
only its own results, so a report may have parts of several dates: every section has its own. GATEHOUSE_QUICK=1 measures
little, in seconds: such results are for checking the benchmarks, and are never saved. GATEHOUSE_BUILT=1 measures what was
built before.
"""

import os
import pathlib
import shutil
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
    if not render:
        FRESH.mkdir(parents=True, exist_ok=True)
        for name in chosen or parts.USUAL:
            (FRESH / f"{name}.json").write_text(results.as_json(parts.measured(name)))
        write(FRESH, FRESH / "report.md", FRESH, "")
        print(f"\n==> {(FRESH / 'report.md').relative_to(ROOT)}")
        if save:
            LAST.mkdir(exist_ok=True)
            for name in chosen or parts.USUAL:
                shutil.copy(FRESH / f"{name}.json", LAST)
    if save or render:
        write(LAST, DOCUMENT, PICTURES, "pictures/")
        print(f"==> {DOCUMENT.relative_to(ROOT)}")
    return 0


def write(folder, document, pictures, prefix):
    found = results.Results.read(folder)
    document.write_text(text.document(found, prefix))
    for name, svg in charts.drawn(found):
        (pictures / f"bench-{name}.svg").write_text(svg)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
