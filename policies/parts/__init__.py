"""What policies share. No policy lives here."""
