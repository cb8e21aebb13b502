"""Other ways to bring a WebSocket feed into typed files, each as its own documentation would have it.

Every module here is a program, `… URL FOLDER SHAPE`, which runs in an environment of its own (`environment`). It
receives until the server closes, and leaves a Delta table or Parquet files in the folder.
"""
