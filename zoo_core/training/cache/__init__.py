"""The frozen part of a network, computed once and kept."""
