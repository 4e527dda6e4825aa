"""The kinds of data that a spec can name, one file for each family."""
