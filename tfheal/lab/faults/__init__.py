"""The faults that can be put into a slice. A new one is an entry in the table of its file."""
