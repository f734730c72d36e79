//! Real programs in a network of their own: shared by the tests that need ports 53 and 5269, several addresses, or
//! servers that must not be heard outside.
//!
//! A test that uses this names the programs it starts in `crate::PROGRAMS`.

#![allow(dead_code)] // Not every test uses all of it.

pub(crate) mod daemon;
pub(crate) mod private_network;
pub(crate) mod wait;
