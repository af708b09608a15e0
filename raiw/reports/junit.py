"""A report as JUnit XML: a test case for each check, which every host of pipelines shows."""

import re
from xml.etree import ElementTree as ET

from raiw.reports.report import MaskReport

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def as_junit(report: MaskReport) -> str:
    """Return the report; without checks there is one case, that the masks were crafted."""
    checks = report.checks or [("crafted", True, report.masks.digest)]
    failures = str(sum(not ok for _, ok, _ in checks))
    counts = {"tests": str(len(checks)), "failures": failures, "errors": "0"}
    suites = ET.Element("testsuites", {"name": "raiw", **counts})
    suite = ET.SubElement(suites, "testsuite", {"name": _text(report.title), **counts})
    for name, ok, found in checks:
        case = ET.SubElement(suite, "testcase", classname=_text(report.title), name=name)
        if ok:
            ET.SubElement(case, "system-out").text = _text(found)
        else:
            ET.SubElement(case, "failure", message=_text(found)).text = _text(found)
    ET.indent(suites)
    return ET.tostring(suites, encoding="unicode", xml_declaration=False) + "\n"


def _text(value: str) -> str:
    """Return a text without characters that XML has no way to write."""
    return _FORBIDDEN.sub("\ufffd", value)
