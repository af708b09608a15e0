"""A report as one HTML file that needs no other and runs no script."""

from html import escape
from string import Template

from raiw.reports.badge import as_badge
from raiw.reports.report import COLUMNS, MaskReport

_PAGE = Template("""\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>$title: $verdict</title>
<style>
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid #8884; padding: .25rem .75rem .25rem 0; text-align: left; }
.layers td + td, .layers th + th { text-align: right; }
.scroll { overflow-x: auto; }
dt { font-weight: 600; } dd { margin: 0 0 .5rem; overflow-wrap: anywhere; }
</style>
<main>
<h1>$title: $verdict</h1>
<p>$badge</p>
<dl>$facts</dl>
$checks
<h2>Layers</h2>
<div class="scroll" tabindex="0" role="region" aria-label="Layers">
<table class="layers"><thead><tr>$columns</tr></thead><tbody>
$rows
</tbody></table>
</div>
</main>
</html>
""")


def as_page(report: MaskReport) -> str:
    """Return the page, with every layer."""
    facts = "".join(
        f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in report.facts.items()
    )
    checks = "".join(
        f"<tr><td>{escape(name)}</td><td>{'passed' if ok else '<strong>failed</strong>'}</td>"
        f"<td>{escape(found)}</td></tr>\n"
        for name, ok, found in report.checks
    )
    heads = "<tr><th>check</th><th>outcome</th><th>found</th></tr>"
    table = f"<h2>Checks</h2>\n<table><thead>{heads}</thead><tbody>\n{checks}</tbody></table>"
    rows = "\n".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in report.rows()
    )
    return _PAGE.substitute(
        title=escape(report.title),
        verdict=report.verdict,
        badge=as_badge(report),
        facts=facts,
        checks=table if checks else "",
        columns="".join(f"<th>{column}</th>" for column in COLUMNS),
        rows=rows,
    )
