//! `repoint delegation`: what the zones above need, whether they have it, and the way out.
#![allow(clippy::unwrap_used)]

mod configs;
mod show;
