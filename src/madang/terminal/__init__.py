"""The terminal: the command `madang`, its one-shot commands, and the console in line mode."""
