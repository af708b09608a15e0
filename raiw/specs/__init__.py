"""Specs: what to craft, as one document for file, REST body, database and library."""
