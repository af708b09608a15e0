"""The use cases, shared by the API and the worker."""
