"""The papers' tables and figures, measured again: one module each, and what they share."""
