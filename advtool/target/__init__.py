"""The model under attack: opened, asked what it is, known again, and asked by attacks."""
