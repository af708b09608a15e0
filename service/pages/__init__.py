"""The web pages: HTML for browsers, of what the JSON API answers to programs."""

from service.pages.app import install as install
