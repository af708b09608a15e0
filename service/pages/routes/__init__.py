"""One module per page, or a few that belong together."""
