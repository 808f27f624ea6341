"""What results allow to be said: differences of policies, and how far they can be doubted."""
