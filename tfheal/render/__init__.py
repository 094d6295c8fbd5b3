"""Data to words: text for people, JSON for scripts, errors for both."""
