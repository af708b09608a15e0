"""How webhooks are told: where messages may lead, their signatures, their repeats."""
