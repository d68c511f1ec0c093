//! Closed forms of queueing theory, each with its formula and source.
