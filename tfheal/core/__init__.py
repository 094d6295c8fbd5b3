"""Verbs, pure: specs, facts and a time go in, data comes out. No input, output, clock or threads."""
