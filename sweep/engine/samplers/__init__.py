"""Samplers that ask for a whole generation at once, and what they have in common."""
