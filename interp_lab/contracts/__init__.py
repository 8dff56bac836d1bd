"""What can be said: the frozen pydantic records that cross a boundary. They import nothing heavier than pydantic."""
