"""The truth: one store over SQLAlchemy Core. Functions that take a transaction, and the machinery that runs them."""
