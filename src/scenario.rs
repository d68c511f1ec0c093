//! What a user writes, checked as a whole before anything runs.
