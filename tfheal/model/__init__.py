"""Nouns: what users write, what is derived from it, and the ports to the outside."""
