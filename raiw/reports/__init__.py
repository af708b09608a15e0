"""Reports of crafted masks for pipelines: Markdown, JUnit, a page and a badge."""

from raiw.reports.report import Report, write_report

__all__ = ["Report", "write_report"]
