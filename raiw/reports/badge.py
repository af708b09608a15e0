"""A report as a badge: one small SVG for a README."""

from xml.sax.saxutils import escape

from raiw.reports.report import MaskReport

_COLOURS = {"passed": "#1a7f37", "crafted": "#0b62a8", "failed": "#b3261e"}
_CHARACTER = 7
_PADDING = 10


def as_badge(report: MaskReport) -> str:
    """Return the badge: ``raiw``, the share of weights kept, and the verdict."""
    label, told = "raiw", f"{report.masks.density:.3g} kept, {report.verdict}"
    left, right = (_CHARACTER * len(text) + _PADDING for text in (label, told))
    words = escape(f"{label}: {told}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img" '
        f'aria-label="{words}"><title>{words}</title>'
        f'<rect width="{left}" height="20" fill="#454545"/>'
        f'<rect x="{left}" width="{right}" height="20" fill="{_COLOURS[report.verdict]}"/>'
        f'<g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" '
        f'font-size="11"><text x="{left / 2:g}" y="14">{label}</text>'
        f'<text x="{left + right / 2:g}" y="14">{escape(told)}</text></g></svg>\n'
    )
