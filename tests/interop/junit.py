"""Reads JUnit reports as others do: an XML parser, JUnit's schema, a library. Says what is in each, as JSON."""

import json
import sys
import xml.etree.ElementTree as ElementTree

try:
    import xmlschema
except ImportError:
    xmlschema = None
try:
    import junitparser
except ImportError:
    junitparser = None

schema = xmlschema.XMLSchema(sys.argv[1]) if xmlschema else None
reports = []
for path in sys.argv[2:]:
    tree = ElementTree.parse(path)
    if schema:
        schema.validate(path)
    suites = []
    for suite in tree.getroot().iter("testsuite"):
        cases = suite.findall("testcase")
        for what, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            found = sum(case.find(tag) is not None for case in cases)
            assert int(suite.get(what)) == found, f"{path}: {suite.get('name')}: {found} {what}"
        assert int(suite.get("tests")) == len(cases), f"{path}: {suite.get('name')}"
        suites.append({
            "name": suite.get("name"),
            "properties": {one.get("name"): one.get("value") for one in suite.iter("property")},
            "cases": [{
                "name": case.get("name"),
                "file": case.get("file"),
                "line": case.get("line"),
                "found": [[one.tag, one.get("type"), one.get("message"), one.text] for one in case],
            } for case in cases],
        })
    if junitparser:
        read = [len(list(suite)) for suite in junitparser.JUnitXml.fromfile(path)]
        assert read == [len(suite["cases"]) for suite in suites], f"{path}: {read}"
    reports.append(suites)
json.dump({"schema": schema is not None, "library": junitparser is not None, "reports": reports}, sys.stdout)
