"""Files: what lies outside the store, read without harm, written whole or not at all."""
