"""A soft phone for trying things: registers, answers as told, sends a tone, and says what it hears."""
