"""An S3 server that is a process of its own, and the faults that lie between it and its users."""
