"""The report as JUnit XML: a suite for each group, a case for each check and each resource that fails it."""

import xml.etree.ElementTree as ElementTree

from gatehouse_operate.audit import mend
from gatehouse_operate.audit.catalogue import CHECKS
from gatehouse_operate.audit.finding import GROUPS
from gatehouse_operate.audit.report import clean


def render(report):
    """The report as XML. Findings below the threshold pass, with their text as output."""
    root = ElementTree.Element("testsuites", name="gatehouse-audit")
    for group, title in GROUPS.items():
        checks = [check for check in CHECKS.values() if check.group == group and check.run]
        cases = [case for check in checks for case in cases_of(check, report)]
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=title,
            tests=str(len(cases)),
            failures=str(sum(case.find("failure") is not None for case in cases)),
            errors=str(sum(case.find("error") is not None for case in cases)),
            skipped=str(sum(case.find("skipped") is not None for case in cases)),
        )
        suite.extend(cases)
    for name in ("tests", "failures", "errors", "skipped"):
        root.set(name, str(sum(int(suite.get(name)) for suite in root)))
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def cases_of(check, report):
    """The cases of one check; one that passes if it found nothing."""
    found = [case_of(one, report) for one in report.findings if one.check.id == check.id]
    found += [suppressed(one, by) for one, by in report.suppressed if one.check.id == check.id]
    return found or [case(check, check.title)]


def case(check, name):
    return ElementTree.Element("testcase", classname=f"gatehouse.{check.group}.{check.id}", name=clean(name))


def case_of(finding, report):
    """A finding as a failure, an error (not checked) or a case that passes."""
    made = case(finding.check, f"{finding.check.title}: {finding.resource}")
    text = clean(
        f"{finding.found}\n{finding.check.why}\nMend:\n{mend.complete(finding.mend)}\nBreaks: {finding.check.breaks}"
    )
    if finding.check.id == "audit-not-checked":
        ElementTree.SubElement(made, "error", type="not-checked", message=clean(finding.found)).text = text
    elif finding.severity >= report.fail_on:
        ElementTree.SubElement(made, "failure", type=finding.severity.word, message=clean(finding.found)).text = text
    else:
        ElementTree.SubElement(made, "system-out").text = f"{finding.severity.word}: {text}"
    return made


def suppressed(finding, by):
    made = case(finding.check, f"{finding.check.title}: {finding.resource}")
    ElementTree.SubElement(made, "skipped", message=clean(f"until {by.expires}: {by.reason}"))
    return made
