"""Questions to a slice, each beside the parser of its answer."""
