//! repoint
fn main() {}
