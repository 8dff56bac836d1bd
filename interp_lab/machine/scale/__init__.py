"""What large runs take: sizes of models, arithmetic, memory, bytes and time, each number with its formula."""
