"""The composition root: settings, start, drain, stop. Knows no rules of chat."""
