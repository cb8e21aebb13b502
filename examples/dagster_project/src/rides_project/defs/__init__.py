"""Every component and definition of the project; `dg scaffold defs` adds to it."""
