"""What a teacher said: one record for each Doc, kept in a store."""
