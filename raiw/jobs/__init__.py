"""What is done to a network of the catalogue, by the command and by the jobs of a server."""
