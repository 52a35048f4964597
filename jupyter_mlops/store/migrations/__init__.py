"""The tables of the product as numbered SQL that SQLite and PostgreSQL both read."""
