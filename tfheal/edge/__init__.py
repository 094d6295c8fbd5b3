"""Hands: one file per outside thing, each turning every foreign error into one of ours."""
