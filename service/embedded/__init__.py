"""``raiw serve``: the whole service on one machine, from one command and in one state folder.

::

    raiw serve ──┬── HTTP API and janitor (this process)
                 ├── raiw worker           restarted when it ends
                 └── valkey-server         restarted when it ends; not started for RAIW_BROKER_URL

Nothing here is a second code path: the API, the worker and the broker are those of a cluster, and
only the two URLs differ. Both children die with this process, whatever ends it.
"""
