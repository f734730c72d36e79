//! repoint
