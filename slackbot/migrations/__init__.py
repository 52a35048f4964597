"""The bot's own tables in the project's store, as numbered SQL that SQLite and PostgreSQL both read."""
