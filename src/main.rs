//! seatrial's command line.

fn main() {}
