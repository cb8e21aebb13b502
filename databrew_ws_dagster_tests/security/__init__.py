"""Canaries: a value is planted where it must not get out, and looked for wherever anything comes out."""
