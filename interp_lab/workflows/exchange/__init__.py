"""What imports and exports of stores share: opening what a request names, and telling independent prompts apart."""
