"""Hands of the lab: throwaway slices on this machine, and the faults that can be put into them."""
