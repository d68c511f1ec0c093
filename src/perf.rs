//! How long a step of a replica takes, and what fits in its memory.
