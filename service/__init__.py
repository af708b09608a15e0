"""The raiw service: jobs, masks and uploads over REST."""
