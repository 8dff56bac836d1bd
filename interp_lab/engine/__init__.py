"""The engine: reads a loaded model through hooks that exist only inside `with`. It decides nothing about evidence."""
