"""A WebSocket server to try things on: emits taxi rides, drifts and misbehaves when told to."""
