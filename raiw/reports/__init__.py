"""Reports of crafted masks for pipelines: Markdown, JUnit, a page and a badge."""

from raiw.reports.report import MaskReport, write_report

__all__ = ["MaskReport", "write_report"]
