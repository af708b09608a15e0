"""The search for a sparse configuration: what may be chosen, under which budget, by whose advice.

Nothing here trains: :mod:`raiw.jobs.run_search` has each configuration trained as a job.
"""
