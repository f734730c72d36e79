//! The demonstration: two built-in pools, one failure, the real server between them and a partner's questions.
//!
//! In: where to listen, whether to tell the story once or to stay. Out: a live board, or the steps of the story
//! as they were seen. Never here: anything `serve` needs.

mod authority;
mod pool;
mod question;
mod story;
mod board;
mod run;

pub use authority::{Authority, Identity, Leaf};
pub use pool::{Behaviour, PoolServer};
pub use run::{DemoError, Options, run};
pub use story::StoryError;
