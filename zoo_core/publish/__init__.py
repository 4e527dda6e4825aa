"""push(): a model or a run -> a repository that others can start from."""
