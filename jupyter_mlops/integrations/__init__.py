"""Integrations: adapters to other systems. Each is found by its entry point; nobody imports them."""
