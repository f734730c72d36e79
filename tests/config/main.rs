//! The configuration as an operator meets it: wrong files and what is said about them, the documents that explain
//! the file, reloads, and text that is no configuration at all.

#![allow(clippy::unwrap_used)]

mod any_text;
mod check_command;
mod corpus;
mod documents;
mod lists;
mod reload;
