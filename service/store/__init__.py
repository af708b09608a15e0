"""What is kept: the database and the artifact folder. SQL is written here and nowhere else."""
