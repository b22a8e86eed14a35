"""The model under attack: opening it from whatever the user has."""
