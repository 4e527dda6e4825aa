"""Where in a picture a network looks."""
