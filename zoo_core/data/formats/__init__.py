"""One file for each way to keep pictures: from a spec to `Pictures`."""
