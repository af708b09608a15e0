"""The REST API: routes parse, call one use case and shape the answer."""
