"""The Celery worker: it claims jobs, crafts masks and records what became of them."""
