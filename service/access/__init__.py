"""Who may ask for what over HTTP, for the API and the pages alike."""
