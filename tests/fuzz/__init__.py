"""Parsers of what strangers write, fed with what no writer would: `make fuzz`."""
