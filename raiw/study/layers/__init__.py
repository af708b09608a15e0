"""Reports of a network's layers: how much each can lose, and how much its spectrum says."""
