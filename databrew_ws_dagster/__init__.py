"""A WebSocket source connector as a Dagster project and a library.

Layers, imports downwards only: `cli` and `definitions` → `orchestration` (Dagster) → `capture` (asyncio) →
`storage` (disk) → `core` (pure) → `errors`.
"""
