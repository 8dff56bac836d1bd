"""What can be said: the frozen pydantic records that cross a boundary. Torch-free; they import nothing heavier than pydantic."""
