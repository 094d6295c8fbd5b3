"""Thin commands; `wiring` alone takes hold of the hands."""
