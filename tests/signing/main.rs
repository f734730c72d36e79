//! Signed zones: what independent programs say of them, and what stays the same from one version to the next.

#![allow(clippy::unwrap_used)]

mod ground;
mod tools;
mod whole_zones;
