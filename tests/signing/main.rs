//! Signed zones: what independent programs say of them, and what stays the same from one version to the next.

#![allow(clippy::unwrap_used)]

#[path = "../world/tool.rs"]
mod tool;

mod ground;
mod renewal;
mod tools;
mod versions;
mod whole_zones;
