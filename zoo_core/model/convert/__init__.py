"""Somebody else's checkpoint -> safetensors for a model of the zoo."""
