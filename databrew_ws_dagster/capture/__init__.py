"""The continuous process that holds the socket: frame in, record out. No parsing and no Dagster."""
