"""What users look at: one table model, and how it is drawn on a page, in a note and on a terminal."""
