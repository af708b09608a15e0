"""What a page must be: valid HTML that loads nothing from elsewhere and has no inline code."""

from xml.etree.ElementTree import Element

import html5lib
import httpx

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
_LOADED = {"src", "href", "action", "{http://www.w3.org/1999/xlink}href"}
_MAY_BE_FAR = {"a"}
"""A link is followed by who wants to; everything else is loaded."""


def page(answer: httpx.Response, status: int = 200) -> Element:
    """Return the tree of a page that keeps every rule."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    for rule in ("default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"):
        assert rule in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    parser = html5lib.HTMLParser(namespaceHTMLElements=False, strict=True)
    tree: Element = parser.parse(answer.text)
    ids = [element.get("id") for element in tree.iter() if element.get("id")]
    assert len(ids) == len(set(ids)), sorted(ids)
    for element in tree.iter():
        _check_element(element)
    assert tree.find("head/title").text.strip()
    assert len([*tree.iter("h1")]) == 1
    return tree


def _check_element(element: Element) -> None:
    tag = str(element.tag).rpartition("}")[2]
    assert "style" not in element.attrib, tag
    assert tag != "style"
    assert not any(name.startswith("on") for name in element.attrib), element.attrib
    if tag == "script":
        assert element.get("src")
        assert not (element.text or "").strip()
    for name in _LOADED & element.attrib.keys():
        address = element.attrib[name]
        if tag not in _MAY_BE_FAR:
            assert address.startswith(("/", "?", "#", "data:image/png")), (tag, address)
            assert not address.startswith("//")
        assert not address.startswith("javascript:")


def words(tree: Element) -> str:
    """Return the text of a page in one line."""
    return " ".join(" ".join(tree.find("body").itertext()).split())


def links(tree: Element) -> list[str]:
    """Return where a page leads to."""
    return [element.get("href", "") for element in tree.iter("a")]
