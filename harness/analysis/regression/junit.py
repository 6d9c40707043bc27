"""Outcomes as JUnit XML, which every CI reads."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

from harness.analysis.regression.compare import CheckOutcome


def junit(outcomes: Sequence[CheckOutcome]) -> str:
    """One test case per expectation; a missing number is a failure of its own type."""
    failed = [outcome for outcome in outcomes if not outcome.ok]
    suite = ElementTree.Element(
        "testsuite",
        name="harness check",
        tests=str(len(outcomes)),
        failures=str(len(failed)),
        errors="0",
        skipped="0",
        time=f"{sum(outcome.seconds for outcome in outcomes):.3f}",
    )
    for outcome in outcomes:
        case = ElementTree.SubElement(
            suite,
            "testcase",
            classname=f"{outcome.suite}.{outcome.kind}",
            name=outcome.title,
            time=f"{outcome.seconds:.3f}",
        )
        if not outcome.ok:
            message = f"expected {outcome.expected}, found {outcome.actual}: {outcome.why}"
            ElementTree.SubElement(case, "failure", type=outcome.state, message=message).text = message
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"
