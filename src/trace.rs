//! Traffic traces: formats in and out, streamed.
